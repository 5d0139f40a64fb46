/** Random disk images, small and made by real tools: MBR and GPT, ext2/3/4 and FAT, filled or hardly so. */
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Run } from '../../lib/engine/process.ts'
import { MiB } from './disks.ts'
import type { Random } from './random.ts'
import { randomTree, type Tree, writeTree } from './random-trees.ts'

export interface RandomPartition {
  number: number
  kind: 'ext' | 'fat'
  tree: Tree
}

export interface RandomImage {
  size: number
  partitions: RandomPartition[]
}

interface Place {
  number: number
  /** In sectors. */
  start: number
  size: number
}

const sector = 512
/** Sectors that an image may have beyond 8 MiB. */
const most = (8 * MiB) / sector
const uuid = '11111111-2222-3333-4444-555555555555'
const fakeTime = '1600000000'

/** Makes the image `disk`, of 8 to 16 MiB; one with FAT32, which begins at 33 MiB, has 40. `tmp` is an empty folder. */
export async function makeRandomImage(
  random: Random,
  run: Run,
  disk: string,
  tmp: string,
): Promise<RandomImage> {
  const wide = random.chance(0.08)
  const size = wide ? 40 * MiB : 8 * MiB + Math.min(random.int(0, most), random.int(0, most)) * sector
  const bytes = Buffer.alloc(size)
  // What an image holds where no filesystem says anything.
  if (random.chance(0.3)) random.content(MiB / 4).copy(bytes, random.int(0, size - MiB))
  writeFileSync(disk, bytes)
  const gpt = random.chance(0.5)
  const places = randomPlaces(random, size / sector, gpt, wide)
  await run('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', '--wipe', 'never', disk], {
    input: script(random, places, gpt),
  })
  const table = readFileSync(disk)
  const partitions: RandomPartition[] = []
  for (const place of places) {
    const kind = wide || (places.length > 1 && random.chance(0.4)) ? 'fat' : 'ext'
    const room = Math.min(random.int(0, 1.2 * MiB), (place.size * sector) / 3)
    const tree = randomTree(random, room, kind === 'fat')
    const work = join(tmp, `p${place.number}`)
    mkdirSync(work)
    const make = kind === 'fat' ? makeFat : makeExt
    const made = await make(random, run, { work, tree, size: place.size * sector, wide })
    made.copy(table, place.start * sector)
    rmSync(work, { recursive: true })
    partitions.push({ number: place.number, kind, tree })
  }
  writeFileSync(disk, table)
  return { size, partitions }
}

function randomPlaces(random: Random, sectors: number, gpt: boolean, wide: boolean): Place[] {
  const count = wide ? 1 : random.int(1, 3)
  const end = sectors - (gpt ? 34 : 0)
  const logical = !gpt && count > 1 && random.chance(0.3)
  const places: Place[] = []
  let at = random.pick([64, 100, 2048, 2047])
  for (let i = 0; i < count; i++) {
    // The extended partition's own table stands before each logical one.
    if (logical && i > 0) at += 64
    const left = end - at
    const last = i === count - 1
    const share = Math.floor(left / (count - i))
    const size = last ? left - random.pick([0, 0, 8, 77]) : share - random.int(0, Math.floor(share / 4))
    places.push({ number: logical && i > 0 ? 4 + i : i + 1, start: at, size })
    at += size + random.pick([0, 0, 1, 200])
  }
  return places
}

function script(random: Random, places: readonly Place[], gpt: boolean): string {
  const head = gpt
    ? `label: gpt\nlabel-id: ${uuid}\nfirst-lba: 34\n`
    : `label: dos\nlabel-id: 0x${random.bytes(4).toString('hex')}\n`
  const lines = places.map(({ number, start, size }) =>
    gpt
      ? `${number}: start=${start}, size=${size}, type=L, uuid=${uuid.slice(0, -1)}${number}`
      : `${number}: start=${start}, size=${size}, type=83`,
  )
  const logical = places.find(({ number }) => number > 4)
  if (!logical) return `${head}unit: sectors\n\n${lines.join('\n')}\n`
  const end = places.at(-1)!.start + places.at(-1)!.size
  const from = logical.start - 64
  const extended = `2: start=${from}, size=${end - from}, type=5`
  return `${head}unit: sectors\n\n${[lines[0], extended, ...lines.slice(1)].join('\n')}\n`
}

interface Filling {
  /** An empty folder. */
  work: string
  tree: Tree
  /** Bytes. */
  size: number
  wide: boolean
}

async function makeFat(random: Random, run: Run, { work, tree, size, wide }: Filling): Promise<Buffer> {
  const part = join(work, 'part')
  writeFileSync(part, '')
  truncateSync(part, size)
  const bits = wide ? 32 : size > 3 * MiB && random.chance(0.5) ? 16 : 12
  const perCluster = bits === 12 ? 8 : random.pick(bits === 16 && size > 5 * MiB ? [1, 2] : [1])
  const args = ['-F', `${bits}`, '-s', `${perCluster}`, '-i', '12345678', '-n', 'BOOT', '--invariant', part]
  await run('mkfs.fat', args)
  const files = join(work, 'files')
  writeTree(random, tree, files, false)
  const names = readdirSync(files).map((name) => join(files, name))
  const options = { env: { MTOOLS_SKIP_CHECK: '1', MTOOLSRC: '/dev/null' } }
  if (names.length > 0) await run('mcopy', ['-s', '-m', '-Q', '-i', part, ...names, '::'], options)
  return readFileSync(part)
}

const always = ['ext_attr', 'filetype', 'sparse_super', 'large_file']

function extFeatures(random: Random, size: number, blockSize: number): string[] {
  const maybe = (...features: string[]): string[] => features.filter(() => random.chance(0.6))
  const journal =
    size / blockSize > 4096 || (blockSize === 1024 && size > 4 * MiB) ? maybe('has_journal') : []
  const first = [...always, ...maybe('resize_inode', 'dir_index')]
  if (random.chance(0.25)) return [...first, ...journal]
  const ext4 = [...first, ...journal, 'extent', ...maybe('flex_bg', 'huge_file', 'dir_nlink', 'extra_isize')]
  const sums = random.pick([['metadata_csum'], ['metadata_csum', 'metadata_csum_seed'], ['uninit_bg'], []])
  const rare = [['inline_data'], ['64bit'], ['64bit'], ['64bit'], [], [], []]
  return [...ext4, ...sums, ...random.pick(rare)]
}

async function makeExt(random: Random, run: Run, { work, tree, size }: Filling): Promise<Buffer> {
  const part = join(work, 'part')
  // Free blocks need not be zeros.
  const before = Buffer.alloc(size)
  if (random.chance(0.25)) random.content(size >> 4).copy(before, random.int(0, size >> 1))
  writeFileSync(part, before)
  writeTree(random, tree, join(work, 'files'), true)
  const blockSize = random.pick([1024, 1024, 2048, 4096])
  const features = extFeatures(random, size, blockSize)
  const inode = features.includes('inline_data') || random.chance(0.7) ? '256' : '128'
  const extended = `hash_seed=${uuid},no_copy_xattrs,nodiscard,lazy_itable_init=0,lazy_journal_init=0`
  const count = Math.floor(size / blockSize)
  const journal = features.includes('has_journal') ? ['-J', `size=${(blockSize * 1024) / MiB}`] : []
  await run(
    'mke2fs',
    [
      ...[
        '-q',
        '-F',
        '-b',
        `${blockSize}`,
        '-I',
        inode,
        '-U',
        uuid,
        '-O',
        `none,${features}`,
        '-E',
        extended,
      ],
      ...['-N', `${random.int(80, 400)}`, '-m', '0', ...journal, '-d', join(work, 'files'), part, `${count}`],
    ],
    { env: { E2FSPROGS_FAKE_TIME: fakeTime, MKE2FS_CONFIG: '/dev/null' } },
  )
  return readFileSync(part)
}
