/** The images that scenarios work on: the reader's own, one by the stage `debian`, or a made one; and larger ones. */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { sha256OfFile } from '../lib/images/hash-file.ts'
import { eventsOf } from './built.ts'
import { rawSize, tools } from './disk.ts'
import { type Larger, makeFiveTimes } from './five-times.ts'
import { makeLargeImage } from './large-image.ts'
import { measure } from './measure.ts'
import { makeDebianProject } from './project.ts'
import type { StockImage } from './stock.ts'
import { fleetsie, type Workplace } from './workplace.ts'

export interface ImageOptions {
  image?: string
  debian?: boolean
  os: string
  /** Where made images are kept for the next time. Default: nowhere. */
  cache?: string
}

export async function stockImage(at: Workplace, options: ImageOptions): Promise<StockImage> {
  const { image, debian, os } = options
  if (image !== undefined) return { path: resolve(image), os, about: image }
  if (debian) return debianImage(at)
  const sample = join(at.checkout, 'fixtures/sample.img.xz')
  const path = await kept(at, options, 'large', sample, (output, tmp) => makeLargeImage(sample, output, tmp))
  return { path, os: 'Debian', about: 'made: 1 GiB, 300 MiB of files' }
}

/** Bytes, of the image and of its file. */
export async function sizesOf({ path }: StockImage): Promise<{ raw: number; compressed: number }> {
  return { raw: await rawSize(tools(tmpdir()), path), compressed: (await stat(path)).size }
}

/** The stock image on a disk five times as large, with its own data or five times that. */
export async function fiveTimes(
  at: Workplace,
  options: ImageOptions,
  kind: Larger,
  stock: StockImage,
): Promise<StockImage> {
  const path = await kept(at, options, kind, stock.path, (output, tmp) =>
    makeFiveTimes(kind, stock.path, output, tmp),
  )
  return { path, os: stock.os, about: `${stock.about}, five times the ${kind}` }
}

/** A made image, named after what it is made of. */
async function kept(
  at: Workplace,
  { cache }: ImageOptions,
  name: string,
  source: string,
  make: (output: string, tmp: string) => Promise<void>,
): Promise<string> {
  const folder = cache === undefined ? join(at.root, 'images') : resolve(cache)
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${name}-${(await sha256OfFile(source)).slice(0, 16)}.img.xz`)
  if (!existsSync(path)) {
    const made = `${path}.${process.pid}`
    try {
      await make(made, join(at.root, `making-${name}`))
      await rename(made, path)
    } finally {
      await rm(made, { force: true })
    }
  }
  return path
}

async function debianImage(at: Workplace): Promise<StockImage> {
  const subject = fleetsie(at, await makeDebianProject(at), 'build', 'stock', '--json')
  const sample = await measure(subject)
  const files = eventsOf(sample.stdout).flatMap((event) =>
    event.type === 'artifacts' ? event.artifacts : [],
  )
  const path = files.find((file) => file.path.endsWith('.img.xz'))!.path
  return { path, os: 'Debian', about: 'by the stage debian', madeBy: { subject, sample } }
}
