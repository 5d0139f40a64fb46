/** Random containers for an image: how a distribution may have packed it. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Run } from '../../lib/engine/process.ts'
import type { Random } from './random.ts'

const KiB = 1024
const checks = ['none', 'crc32', 'crc64', 'sha256'] as const

/** Fills `folder` as `fetch` would, with the image `disk` in a container. Answers what it is, in words. */
export async function makeRandomStock(
  random: Random,
  run: Run,
  disk: string,
  folder: string,
): Promise<string> {
  mkdirSync(folder)
  const { name, bytes, title } = await pack(random, run, readFileSync(disk))
  writeFileSync(join(folder, name), bytes)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  writeFileSync(join(folder, 'file.json'), JSON.stringify({ name, sha256, size: bytes.length }))
  return title
}

interface Packed {
  name: string
  bytes: Buffer
  title: string
}

async function pack(random: Random, run: Run, image: Buffer): Promise<Packed> {
  const kind = random.pick([...Array<'xz'>(10).fill('xz'), 'gz', 'zst', 'raw'] as const)
  switch (kind) {
    case 'raw':
      return { name: 'os.img', bytes: image, title: kind }
    case 'gz':
      return { name: 'os.img.gz', bytes: gzipSync(image, { level: 1 }), title: kind }
    case 'zst':
      return {
        name: 'os.img.zst',
        bytes: (await run('zstd', ['-q', '-1', '-c'], { input: image })).stdout,
        title: kind,
      }
    case 'xz':
      return packXz(random, run, image)
  }
}

/** One stream or several, which mostly have the same check; each with settings of its own. */
async function packXz(random: Random, run: Run, image: Buffer): Promise<Packed> {
  const streams = random.chance(0.25) ? random.int(2, 3) : 1
  const check = random.pick(checks)
  const parts: Buffer[] = []
  const titles: string[] = []
  for (let i = 0, at = 0; i < streams; i++) {
    const end = i === streams - 1 ? image.length : random.int(at, image.length)
    const own = streams > 1 && random.chance(0.15) ? random.pick(checks) : check
    const args = xzArguments(random, own)
    titles.push(args.join(' '))
    parts.push((await run('xz', ['-c', ...args], { input: image.subarray(at, end) })).stdout)
    if (random.chance(0.2)) parts.push(Buffer.alloc(4 * random.int(1, 5)))
    at = end
  }
  return { name: 'os.img.xz', bytes: Buffer.concat(parts), title: `xz ${titles.join(' | ')}` }
}

function xzArguments(random: Random, check: string): string[] {
  const size = random.pick([64, 100, 128, 333, 512, 1024, 1024, 2048, 4096, 8192, 0, 0])
  const blocks = size === 0 ? [] : [`--block-size=${size * KiB + random.pick([0, 0, 0, 4 * KiB, 1])}`]
  // Only blocks made by several threads have their sizes in their headers.
  const threads = random.pick(['-T1', '-T2'])
  const preset = random.pick(['-0', '-1', '-2', '-3', '-6', '-6', '-2e'])
  const filters = random.pick([
    ...[[preset], [preset], [preset]],
    [
      `--lzma2=preset=${random.int(0, 3)},dict=${random.pick([64, 256, 1024])}KiB,lc=${random.int(0, 2)},lp=${random.int(0, 2)},pb=${random.int(0, 4)}`,
    ],
    ['--x86', '--lzma2=preset=1'],
    [`--delta=dist=${random.int(1, 4)}`, '--lzma2=preset=0'],
  ])
  return [threads, `--check=${check}`, ...blocks, ...filters]
}
