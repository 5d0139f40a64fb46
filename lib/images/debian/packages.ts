/** The locked packages as a folder that apt takes for a repository: the .deb files and an index, `Packages`. */
import { rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { copyAndHash } from '../copy-and-hash.ts'
import { download } from '../download/download.ts'
import { downloadFolder, makeDownloadFolder } from '../download/partial.ts'
import { sha256OfFile } from '../hash-file.ts'
import { type DebianLock, type LockedPackage, mirrorOf, refreshHint } from './lock.ts'

const atOnce = 4

interface Downloading {
  signal: AbortSignal
  progress(done: number, total: number): void
  note(line: string): void
}

/** The name that a package's file has in the folder: without the `%3a` of Debian's own, which every tool escapes differently. */
export function debName(locked: LockedPackage): string {
  return `${locked.name}_${locked.version.replaceAll(':', '_')}_${locked.architecture}.deb`
}

/**
 * Downloads every package of the lock into `folder`. The files stay in the cache: a build that checks itself, another
 * store and a later call need not ask for them again.
 * Fails as download() does; E_DOWNLOAD names `lock` as the remedy when the mirror no longer has a package.
 */
export async function downloadPackages(
  lock: DebianLock,
  folder: string,
  context: Downloading,
): Promise<void> {
  const mirror = mirrorOf(lock)
  const kept = join(await downloadFolder(), 'packages')
  await makeDownloadFolder(kept)
  // Somebody may want the boot loader's packages in the image as well.
  const all = [...new Map([...lock.packages, ...lock.bootloader].map((one) => [one.sha256, one])).values()]
  const total = all.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  const queue = [...all]
  const work = async (): Promise<void> => {
    for (let one = queue.shift(); one; one = queue.shift()) {
      await keep(one, mirror, kept, context)
      done += one.size
      context.progress(done, total)
    }
  }
  const results = await Promise.allSettled(
    Array.from({ length: atOnce }, () =>
      work().finally(() => {
        queue.length = 0
      }),
    ),
  )
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
  // Only now, all at once: whatever failed before has spoiled nothing.
  for (const one of all) await take(one, join(folder, debName(one)), mirror, kept, context)
}

/** The cache may be cleared, and a file in it damaged, at any time: then the package is downloaded once more. */
async function take(
  one: LockedPackage,
  target: string,
  mirror: string,
  kept: string,
  context: Downloading,
): Promise<void> {
  for (let again = true; ; again = false) {
    const copied = await copyAndHash(join(kept, `${one.sha256}.deb`), target, context.signal).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
        return undefined
      },
    )
    if (copied?.sha256 === one.sha256) return
    await rm(target, { force: true })
    if (!again) {
      throw new FleetsieError('E_IO', `the package ${one.name} disappears or changes while it is copied`, {
        file: kept,
        hint: 'find out what else writes into this folder',
      })
    }
    await makeDownloadFolder(kept)
    await keep(one, mirror, kept, context)
  }
}

async function keep(one: LockedPackage, mirror: string, kept: string, context: Downloading): Promise<void> {
  const target = join(kept, `${one.sha256}.deb`)
  const sum = await sha256OfFile(target, { signal: context.signal }).catch(() => undefined)
  if (sum === one.sha256) return
  const url = `${mirror}/${one.filename.replaceAll('+', '%2b')}`
  try {
    await download({
      ...{ url, sha256: one.sha256, maxSize: one.size, signal: context.signal, note: context.note },
      use: ({ path }) => rename(path, target),
    })
  } catch (error) {
    if (!(error instanceof FleetsieError) || !['E_DOWNLOAD', 'E_VERIFY'].includes(error.code)) throw error
    if (error.code === 'E_DOWNLOAD' && !/ answered 4\d\d\b/.test(error.message)) throw error
    throw new FleetsieError(
      'E_DOWNLOAD',
      `the mirror no longer has ${one.name} ${one.version}: ${error.message}`,
      {
        hint: refreshHint,
        cause: error,
      },
    )
  }
}

/** Writes the index of those packages that go into the image. E_VERIFY: a file is another package than the lock says. */
export async function indexPackages(lock: DebianLock, folder: string, run: Run): Promise<void> {
  const paragraphs: string[] = []
  for (const locked of lock.packages) {
    const name = debName(locked)
    const control = (await run('dpkg-deb', ['--field', join(folder, name)])).stdout.toString('utf8').trimEnd()
    const field = (key: string): string | undefined => new RegExp(`^${key}: (.*)$`, 'm').exec(control)?.[1]
    if (field('Package') !== locked.name || field('Version') !== locked.version) {
      throw new FleetsieError('E_VERIFY', `${basename(name)} holds ${field('Package')} ${field('Version')}`, {
        hint: refreshHint,
      })
    }
    paragraphs.push(`${control}\nFilename: ./${name}\nSize: ${locked.size}\nSHA256: ${locked.sha256}\n`)
  }
  await writeFile(join(folder, 'Packages'), paragraphs.join('\n'))
}
