/** One writer of a disk at a time: two at once would leave the key of one there beside the devices of the other. */
import { createServer, type Server } from 'node:net'
import { FleetsieError } from '../../errors.ts'
import type { DiskPlace } from './place.ts'

interface Medium {
  /** What all names of the medium have in common: its device, or its inode. */
  id: string
  /** For messages. */
  name: string
}

/**
 * Opens a place by `open`, which is given what lets the next one in. Fails with E_UNSAFE when another process of this
 * machine has it, whoever runs that; the lock ends with its process, however that ends.
 */
export async function alone(
  { id, name }: Medium,
  open: (release: () => void) => Promise<DiskPlace>,
): Promise<DiskPlace> {
  const lock = await take(id)
  if (!lock) {
    throw new FleetsieError('E_UNSAFE', `another gen is writing ${name}`, { hint: 'wait until it has ended' })
  }
  try {
    return await open(() => lock.close())
  } catch (error) {
    lock.close()
    throw error
  }
}

/**
 * A name that one process of the machine can have: unix(7), abstract sockets. No file: users could not take over each
 * other's where all may write, and on the disk itself a killed process would leave it.
 */
function take(id: string): Promise<Server | undefined> {
  const lock = createServer((socket) => socket.destroy()).unref()
  return new Promise((resolve, reject) => {
    lock.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    )
    lock.listen({ path: nameOf(id) }, () => resolve(lock))
  })
}

/** All of sun_path: Node 20 fills up with zeros what is shorter, later ones do not (nodejs/node#50889). */
function nameOf(id: string): string {
  return `\0fleetsie-disk-${id.replace(/[^\w:.-]/g, '_')}-`.slice(0, 107).padEnd(108, '.')
}
