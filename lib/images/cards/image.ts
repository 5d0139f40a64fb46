/** Opens the image that cards are written from, with all that is known of it already. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError, inFile } from '../../errors.ts'
import { type Bmap, parseBmap } from '../../formats/bmap-parse.ts'
import { openDiskImage } from '../flash/disk-image.ts'
import type { DiskImage } from '../flash/types.ts'
import { readManifest } from '../image.ts'
import { readTable } from '../partition-table.ts'
import { readArtifacts } from '../signing/artifacts.ts'

export interface OpenWith {
  run: Run
  /** Folder for what is decoded. */
  tmp: string
  jobs: number
  signal: AbortSignal
}

/** A block map of a disk of terabytes is smaller. */
const maxBmap = 64 * 1024 * 1024

/** The image in `folder`, which `save` made: digests, partition table and block map lie beside it. */
export async function openSavedImage(folder: string, options: OpenWith): Promise<DiskImage> {
  const { files } = await readArtifacts(folder)
  const named = (kind: string): string | undefined => files.find((file) => file.kind === kind)?.name
  const image = named('image')
  if (image === undefined) {
    throw new FleetsieError('E_INPUT', 'the artifacts hold no image', { file: folder })
  }
  const bmap = named('bmap')
  return openDiskImage({
    file: join(folder, image),
    manifest: await readManifest(folder),
    table: await readTable(folder),
    ...(bmap === undefined ? {} : { bmap: await readBmap(join(folder, bmap)) }),
    ...options,
  })
}

/** The image in `file`, of any container, with the block map that lies beside it under a name that bmaptool looks for. */
export async function openImageFile(
  file: string,
  options: OpenWith & { note(line: string): void },
): Promise<DiskImage> {
  const { note, ...rest } = options
  const bmap = await bmapBeside(file)
  if (bmap) note(`the block map ${basename(bmap)} says what of the image has to be written`)
  return openDiskImage({ file, ...(bmap ? { bmap: await readBmap(bmap) } : {}), ...rest })
}

/** `a.img.xz` → `a.img.xz.bmap`, `a.img.bmap`, `a.bmap`. */
async function bmapBeside(file: string): Promise<string | undefined> {
  const folder = dirname(file)
  const there = new Set(await readdir(folder).catch(() => []))
  for (let stem = basename(file); ; ) {
    if (there.has(`${stem}.bmap`)) return join(folder, `${stem}.bmap`)
    const cut = stem.lastIndexOf('.')
    if (cut <= 0) return undefined
    stem = stem.slice(0, cut)
  }
}

async function readBmap(path: string): Promise<Bmap> {
  return inFile(path, async () => {
    const { size } = await stat(path)
    if (size > maxBmap) throw new FleetsieError('E_DAMAGED', `a block map of ${size} bytes`)
    return parseBmap(await readFile(path))
  })
}
