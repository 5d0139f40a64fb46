/** A small image in any container, with a block map that leaves gaps, and files and loop devices as cards. */
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import { removeTree } from '../../../../lib/engine/store/remove.ts'
import { bmapBlockSize, cutRanges, writeBmap } from '../../../../lib/formats/bmap.ts'
import { parseBmap } from '../../../../lib/formats/bmap-parse.ts'
import { openDiskImage } from '../../../../lib/images/flash/disk-image.ts'
import { flash } from '../../../../lib/images/flash/flash.ts'
import { openTarget } from '../../../../lib/images/flash/target.ts'
import type { Area, Card, DiskImage, FlashReport, FlashResult } from '../../../../lib/images/flash/types.ts'
import { chunkSize, type ImageManifest } from '../../../../lib/images/image.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { Random } from '../../../helpers/random.ts'

/** Not a multiple of a chunk, nor of 4 KiB. */
export const imageSize = 24 * MiB + 3 * 512
export const cardSize = 32 * MiB
export const partitions = [
  { offset: MiB, length: 6 * MiB },
  { offset: 8 * MiB, length: 15 * MiB },
]
/** Of the disk, not written by a block map; the last of them holds zeros, one is less than a chunk. */
export const gaps = [
  { offset: 2 * MiB + 64 * 1024, length: 128 * 1024 },
  { offset: 11 * MiB, length: 2 * MiB + 4096 },
  { offset: 20 * MiB, length: 2 * MiB },
]
export const zeros = { offset: 16 * MiB, length: 2 * MiB + 300_000 }
export const run = runner({ home: tmpdir() })

export function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Chunks as a manifest has them. */
export function digestsOf(bytes: Buffer): (string | null)[] {
  return Array.from({ length: Math.ceil(bytes.length / chunkSize) }, (_, i) => {
    const chunk = bytes.subarray(i * chunkSize, (i + 1) * chunkSize)
    return chunk.every((byte) => byte === 0) ? null : digestOf(chunk)
  })
}

export class FlashRig {
  readonly folder: string
  readonly raw: string
  bytes: Buffer

  constructor(seed = 'flash') {
    this.folder = mkdtempSync(join(tmpdir(), 'fleetsie-flash-'))
    this.raw = join(this.folder, 'disk.img')
    writeFileSync(this.raw, Buffer.alloc(imageSize))
    const lines = partitions.map(
      ({ offset, length }) => `start=${offset / 512}, size=${length / 512}, type=83\n`,
    )
    tool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', this.raw], `label: dos\n${lines.join('')}`)
    this.bytes = readFileSync(this.raw)
    // Each sector is its own, and quick to compress.
    const noise = new Random(seed).bytes(imageSize / 16)
    for (let at = 512; at < imageSize; at += 512) noise.copy(this.bytes, at, at / 16, at / 16 + 32)
    this.bytes.fill(0, zeros.offset, zeros.offset + zeros.length)
    this.bytes.fill(0, 20 * MiB, 22 * MiB)
    writeFileSync(this.raw, this.bytes)
  }

  remove(): Promise<void> {
    return removeTree(this.folder)
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  /** Another image, with `at` and what lies there from then on. */
  edited(name: string, edits: readonly [at: number, bytes: Buffer][]): FlashRig {
    const other = Object.create(this) as FlashRig
    other.bytes = Buffer.from(this.bytes)
    for (const [at, bytes] of edits) bytes.copy(other.bytes, at)
    Object.assign(other, { raw: this.path(name) })
    writeFileSync(other.raw, other.bytes)
    return other
  }

  /** A file of this container with the image in it. It is made once, and not to be changed. */
  container(kind: 'xz' | 'one-block.xz' | 'gz' | 'zst' | 'zip' | 'img'): string {
    const path = `${this.raw}.${kind}`
    if (existsSync(path)) return path
    const shell = (script: string): string => tool('sh', ['-c', script, 'sh', this.raw, path])
    if (kind === 'xz') shell('xz -0 -T1 --block-size=3MiB -c "$1" > "$2"')
    else if (kind === 'one-block.xz') shell('xz -0 -c "$1" > "$2"')
    else if (kind === 'gz') shell('gzip -1 -c "$1" > "$2"')
    else if (kind === 'zst') shell('zstd -1 -q -c "$1" > "$2"')
    else if (kind === 'zip') shell('rm -f "$2"; zip -q -1 -j "$2" "$1"')
    else return this.raw
    return path
  }

  /** A copy of the container whose bytes `change` changes. */
  damaged(kind: 'xz' | 'one-block.xz', change: (bytes: Buffer) => Buffer | undefined): string {
    const bytes = readFileSync(this.container(kind))
    const path = this.path(`damaged.${kind}`)
    writeFileSync(path, change(bytes) ?? bytes)
    return path
  }

  /** Maps all but `gaps`. */
  bmap(): Buffer {
    const ranges: { first: number; last: number }[] = []
    let at = 0
    for (const { offset, length } of [...gaps, { offset: imageSize, length: 0 }]) {
      ranges.push({ first: at / bmapBlockSize, last: Math.ceil(offset / bmapBlockSize) - 1 })
      at = offset + length
    }
    return writeBmap(
      imageSize,
      cutRanges(ranges).map((range) => {
        const bytes = this.bytes.subarray(range.first * bmapBlockSize, (range.last + 1) * bmapBlockSize)
        return { ...range, sha256: digestOf(bytes) }
      }),
    )
  }

  manifest(): ImageManifest {
    const chunks = digestsOf(this.bytes)
    const container = { kind: 'xz', sha256: digestOf(this.bytes) } as const
    return { format: 1, size: imageSize, chunkSize, chunks, container }
  }

  async open(
    test: TestContext,
    { kind = 'xz', file, bmap = true, manifest = false, signal = new AbortController().signal }: Opening = {},
  ): Promise<DiskImage> {
    const image = await openDiskImage({
      file: file ?? this.container(kind),
      ...(bmap ? { bmap: parseBmap(this.bmap()) } : {}),
      ...(manifest ? { manifest: this.manifest() } : {}),
      run,
      tmp: this.folder,
      jobs: 2,
      signal,
    })
    test.after(() => image.close())
    return image
  }

  /** A file as a card that holds `content` again and again, or the image. */
  card(name: string, content: Buffer | 'image' = Buffer.from('old')): string {
    const path = this.path(name)
    const bytes = Buffer.alloc(cardSize, content === 'image' ? 'tail' : content)
    if (content === 'image') this.bytes.copy(bytes)
    writeFileSync(path, bytes)
    return path
  }
}

interface Opening {
  kind?: Parameters<FlashRig['container']>[0]
  /** In place of a container that is sound. */
  file?: string
  bmap?: boolean
  manifest?: boolean
  signal?: AbortSignal
}

/** A loop device over `file`, undone after the test. */
export function loopOver(test: TestContext, file: string): string {
  const device = tool('losetup', ['--find', '--show', file]).trim()
  test.after(() => void tool('losetup', ['--detach', device]))
  return device
}

export interface Flashing extends Partial<Omit<Card, 'areas' | 'name'>> {
  signal?: AbortSignal
  /** Ranges of the image; default: all of it. */
  ranges?: readonly Area['image'][]
  told?: Parameters<typeof flash>[0]['progress']
}

/** Opens the paths as one card, writes it and closes them. */
export async function flashOne(
  image: DiskImage,
  paths: readonly string[],
  { signal = new AbortController().signal, ranges, told = () => {}, ...card }: Flashing = {},
): Promise<FlashResult> {
  const targets = await Promise.all(paths.map((path) => openTarget(path, { run })))
  try {
    const areas = targets.map((target, i) => ({
      image: ranges?.[i] ?? { offset: 0, length: image.size },
      target,
    }))
    const journal = `${paths[0]!.replaceAll('/dev/', `${tmpdir()}/fleetsie-`)}.journal`
    const cards = [{ name: paths.join('+'), areas, journal, full: false, ...card }]
    const [result] = await flash({ image, cards, signal, progress: told })
    return result!
  } finally {
    for (const target of targets) await target.close()
  }
}

export function reportOf(result: FlashResult): FlashReport {
  if ('report' in result) return result.report
  throw result.error
}

/** What the card should hold: the image where it is mapped, what it held before elsewhere. */
export function expected(rig: FlashRig, before: Buffer, mapped = true): Buffer {
  const bytes = Buffer.from(before)
  rig.bytes.copy(bytes)
  for (const { offset, length } of mapped ? gaps : []) before.copy(bytes, offset, offset, offset + length)
  return bytes
}
