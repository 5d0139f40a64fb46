/** A folder for secrets on their way to a card: in memory where the machine has such a place, and gone afterwards. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, readdir, rm, stat, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const memory = '/dev/shm'
const prefix = 'fleetsie-values-'
/** Linux, include/uapi/linux/magic.h. */
const tmpfsMagic = 0x01021994
/** A card's layer is small; what is staged with it, too. */
const leastRoom = 64 * 1024 * 1024

/** Runs `work` with a new folder that only this user can enter, and removes it. What a killed process left goes as well. */
export async function withSecretFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const place = await choose()
  await sweep(place)
  const folder = join(
    place,
    `${prefix}${process.pid}-${startOf(process.pid)}-${randomBytes(6).toString('hex')}`,
  )
  await mkdir(folder, { mode: 0o700 })
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function choose(): Promise<string> {
  try {
    const { type, bavail, bsize } = await statfs(memory)
    const { mode } = await stat(memory)
    if (type === tmpfsMagic && bavail * bsize >= leastRoom && (mode & 0o1777) === 0o1777) return memory
  } catch {
    // There is none: the user's folder for temporary files has to do.
  }
  return tmpdir()
}

/** Only folders of this user, of processes that are no more: a number may be given again, with another start. */
async function sweep(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    const found = /^fleetsie-values-(\d+)-(\d+)-[0-9a-f]{12}$/.exec(name)
    if (!found || startOf(Number(found[1])) === found[2]) continue
    const path = join(place, name)
    const stats = await stat(path).catch(() => undefined)
    if (stats?.isDirectory() && stats.uid === process.geteuid?.())
      await rm(path, { recursive: true, force: true })
  }
}

/** When a process began, in ticks since the machine did; '0' when there is none. proc(5): field 22, after the name. */
export function startOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '0'
  } catch {
    return '0'
  }
}
