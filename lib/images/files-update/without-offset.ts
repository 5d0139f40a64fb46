/** A partition for tools that take no offset: by a loop device for root, else by a copy. */
import { open, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import type { CardVolume } from '../values/types.ts'
import { Window } from '../window.ts'

const piece = 1024 * 1024

/** `work` gets a name for the partition alone, which it may change; what it changed is in the partition afterwards. */
export async function withoutOffset<T>(
  run: Run,
  { path, partition }: CardVolume,
  tmp: string,
  work: (device: string) => Promise<T>,
): Promise<T> {
  if (process.geteuid?.() !== 0) return withCopy({ path, partition }, tmp, work)
  const places = ['--offset', `${partition.offset}`, '--sizelimit', `${partition.size}`]
  const { stdout } = await run('losetup', ['--find', '--show', ...places, path])
  const device = stdout.toString().trim()
  const held = await open(device, 'r')
  try {
    // It goes with the last who has it open, even if that is us and we are killed.
    await run('losetup', ['--detach', device])
    return await work(device)
  } finally {
    await held.close()
  }
}

/** Holes where there are zeros. */
async function withCopy<T>(
  { path, partition }: CardVolume,
  tmp: string,
  work: (device: string) => Promise<T>,
): Promise<T> {
  const copy = join(tmp, 'partition.img')
  const from = new Window(path, partition, 'r+')
  const zeros = Buffer.alloc(piece)
  try {
    await writeFile(copy, '', { mode: 0o600 })
    await truncate(copy, from.size)
    const to = new Window(copy, { offset: 0, size: from.size }, 'r+')
    try {
      for (const [at, bytes] of pieces(from)) {
        if (!zeros.subarray(0, bytes.length).equals(bytes)) to.write(at, bytes)
      }
      const result = await work(copy)
      for (const [at, bytes] of pieces(to)) {
        if (!from.read(at, bytes.length).equals(bytes)) from.write(at, bytes)
      }
      return result
    } finally {
      to.close()
    }
  } finally {
    from.close()
    await rm(copy, { force: true })
  }
}

function* pieces(window: Window): Generator<[number, Buffer]> {
  for (let at = 0; at < window.size; at += piece) {
    yield [at, window.read(at, Math.min(piece, window.size - at))]
  }
}
