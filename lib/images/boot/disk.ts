/** The raw file that a machine boots from: kept, and brought up to date like a card, by what differs. */
import { createHash } from 'node:crypto'
import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { cacheFolder, callerOf, settle } from '../caller.ts'
import { knowCard } from '../cards/known.ts'
import { closeTargets, openCard, seeCards } from '../cards/open.ts'
import { writeCards } from '../cards/write.ts'
import type { DiskImage, FlashProgress } from '../flash/types.ts'
import { makeFolder, partName, sweepParts } from '../replace-file.ts'

export interface BootDisk {
  image: DiskImage
  /** What tells this disk from others: where the image comes from. */
  origin: string
  /** What the machine writes is there again the next time, for as long as the image is the same. */
  keep: boolean
  env: NodeJS.ProcessEnv
  run: Run
  signal: AbortSignal
  progress(progress: FlashProgress): void
  warn(line: string): void
}

/**
 * Runs `work` with the path of the disk, which nobody else writes meanwhile, and with that of the qcow2 file over it which
 * keeps what a machine writes, if that is wanted. Fails with E_UNSAFE while another boots from it.
 */
export async function withBootDisk<T>(
  options: BootDisk,
  work: (disk: string, kept: string | undefined) => Promise<T>,
): Promise<T> {
  const { image, env, run, signal } = options
  const file = await bootFile(options)
  const access = { cwd: dirname(file), allowed: {}, run, signal }
  const [seen] = await seeCards([{ role: 'disk', names: [file] }], access)
  const card = await openCard(seen!, image, access)
  try {
    const known = await knowCard(card, image, { env, full: false, signal })
    const [result] = await writeCards({ ...options, works: [{ card: known }], full: false })
    if ('error' in result!) throw result.error
    return await work(file, options.keep ? await keptFile(file, options) : undefined)
  } finally {
    await closeTargets(card.targets)
  }
}

/** Over another image it would be nonsense, so that its name has the image's digest; those of earlier ones go. */
async function keptFile(disk: string, { image, env, run }: BootDisk): Promise<string> {
  const stem = `${disk.slice(0, -'.img'.length)}-`
  const kept = `${stem}${image.sha256.slice(0, 12)}.qcow2`
  for (const name of await readdir(dirname(disk))) {
    const file = join(dirname(disk), name)
    if (file.startsWith(stem) && file.endsWith('.qcow2') && file !== kept) await rm(file)
  }
  if (!(await stat(kept).catch(() => undefined))) {
    const part = join(dirname(disk), partName())
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', disk, part])
    await settle(part, 0o600, callerOf(env))
    await rename(part, kept)
  }
  return kept
}

/** Of the image's size; one of another size is of no use. */
async function bootFile({ image, origin, env }: BootDisk): Promise<string> {
  const caller = callerOf(env)
  const folder = join(await cacheFolder(env), 'boot')
  await makeFolder(folder, 0o755, caller)
  await sweepParts(folder)
  const id = createHash('sha256').update(origin).digest('hex').slice(0, 12)
  const file = join(folder, `${basename(image.name).replace(/\.img.*$/, '')}-${id}.img`)
  const there = await stat(file).catch(() => undefined)
  if (there?.isFile() && there.size === image.size) return file
  await rm(file, { force: true })
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.truncate(image.size)
  } finally {
    await handle.close()
  }
  await settle(file, 0o600, caller)
  return file
}
