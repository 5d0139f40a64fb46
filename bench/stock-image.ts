/** The large image that scenarios work on: the reader's own, one by the stage `debian`, or a made one. */
import { join, resolve } from 'node:path'
import { eventsOf } from './events.ts'
import { makeLargeImage } from './large-image.ts'
import { measure } from './measure.ts'
import type { StockImage } from './scenarios/scenario.ts'
import { fleetsie, makeDebianProject, type Workplace } from './workplace.ts'

export interface ImageOptions {
  image?: string
  debian?: boolean
  os: string
}

export async function stockImage(at: Workplace, { image, debian, os }: ImageOptions): Promise<StockImage> {
  if (image !== undefined) return { path: resolve(image), os, about: image }
  if (debian) return debianImage(at)
  const path = join(at.root, 'large.img.xz')
  await makeLargeImage(join(at.checkout, 'fixtures/sample.img.xz'), path, join(at.root, 'large'))
  return { path, os: 'Debian', about: 'made: 1 GiB, 300 MiB of files' }
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
