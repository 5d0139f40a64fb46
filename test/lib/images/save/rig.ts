/** A small stock image as `decompress` and `mount` leave it, layers, and what a working image does with them. */
import { createCipheriv, createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import type { Input } from '../../../../lib/engine/stage.ts'
import { removeTree } from '../../../../lib/engine/store/remove.ts'
import type { BlockRange } from '../../../../lib/formats/bmap.ts'
import { applyLayers } from '../../../../lib/images/apply.ts'
import { chunkDigests } from '../../../../lib/images/chunk-digests.ts'
import { chunkSize, readManifest, writeManifest } from '../../../../lib/images/image.ts'
import { readPartitionTable, readTable, writeTable } from '../../../../lib/images/partitions.ts'
import { checkEdit, editImage } from '../../../../lib/images/save/edit.ts'
import { layersByPartition } from '../../../../lib/images/save/layer-sets.ts'
import { mappedRanges } from '../../../../lib/images/save/mapped-ranges.ts'
import { withWorkingImage } from '../../../../lib/images/save/open-working-image.ts'
import type { WorkingImage } from '../../../../lib/images/save/working-image.ts'
import {
  buildContext,
  type TestContext as Context,
  carryIn,
  fakeInput,
  memoryMemo,
} from '../../../helpers/context.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { directory, file, type Member, pack, symlink } from '../../../helpers/layers.ts'

export const epoch = 1_700_000_000
const piece = 64 * 1024
/** The FAT partition, the ext4 partition and the disk: bytes. */
const fat = { offset: MiB, size: 4 * MiB }
const ext = { offset: 5 * MiB, size: 16 * MiB }
/** No whole MiB. */
const stockSize = ext.offset + ext.size + MiB / 2

/** What was seen of an edit, and all of the edited disk. */
export interface Seen {
  changed: number[]
  touched: (offset: number, length: number) => boolean
  ranges: (BlockRange & { sha256: string })[]
  chunks: (string | null)[]
  disk: Buffer
  notes: readonly string[]
}

export class SaveRig {
  readonly folder: string
  readonly image: Input
  readonly table: Input
  readonly memo = memoryMemo()
  carry = carryIn('')
  grow: { to: number; epoch: number } | undefined
  private sets = 0

  private constructor(folder: string) {
    this.folder = folder
    const digest = createHash('sha256').update(folder).digest('hex')
    this.image = fakeInput(join(folder, 'image'), digest)
    this.table = fakeInput(join(folder, 'image'), digest)
    this.carry = carryIn(join(folder, 'carried'))
  }

  /** Without a test: to be removed by `remove`. */
  static async open(test?: TestContext): Promise<SaveRig> {
    const rig = new SaveRig(await mkdtemp(join(tmpdir(), 'fleetsie-save-')))
    test?.after(() => rig.remove())
    await mkdir(rig.image.path)
    const run = runner({
      home: rig.folder,
      env: { MKE2FS_CONFIG: '/dev/null', E2FSPROGS_FAKE_TIME: '1600000000' },
    })
    await writeFile(rig.stock, '')
    await truncate(rig.stock, stockSize)
    tool(
      'sfdisk',
      ['--quiet', '--no-reread', '--no-tell-kernel', rig.stock],
      `label: dos\nstart=${fat.offset / 512}, size=${fat.size / 512}, type=c\nstart=${ext.offset / 512}, size=${ext.size / 512}, type=83\n`,
    )
    // Free space holds what was there before.
    const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(
      Buffer.alloc(8 * MiB),
    )
    await run('dd', ['bs=1M', 'seek=9', 'conv=notrunc', 'status=none', `of=${rig.stock}`], { input: noise })
    await run('mkfs.vfat', [
      '--invariant',
      '-i',
      '12345678',
      '-n',
      'BOOT',
      `--offset=${fat.offset / 512}`,
      rig.stock,
      `${fat.size / 1024}`,
    ])
    await run('mkfs.ext4', [
      '-q',
      '-F',
      '-b',
      '1024',
      '-I',
      '256',
      '-U',
      '11111111-2222-3333-4444-555555555555',
      '-E',
      `hash_seed=11111111-2222-3333-4444-555555555555,offset=${ext.offset},lazy_itable_init=1,nodiscard`,
      '-O',
      'none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,metadata_csum,sparse_super,large_file,huge_file,extra_isize',
      '-J',
      'size=1',
      rig.stock,
      `${ext.size / 1024}k`,
    ])
    await writeTable(rig.table.path, await readPartitionTable(rig.stock))
    const first = await rig.set({
      1: [file('b1.txt', 'as it came')],
      2: [
        ...[directory('d'), directory('old'), directory('old/deep'), symlink('old/link', 'y'.repeat(100))],
        ...[1, 2, 3].map((i) => file(`d/f${i}`, Buffer.alloc(i * 100_000, 'stock'))),
        file('old/deep/file', Buffer.alloc(300_000, 'old'), {
          xattrs: new Map([['user.x', noise.subarray(0, 500)]]),
        }),
      ],
    })
    await copyFile(rig.stock, rig.fresh)
    await writeFile(rig.stock, await rig.editFresh(rig.fresh, first))
    await rig.describe()
    return rig
  }

  remove(): Promise<void> {
    return removeTree(this.folder)
  }

  /** Writes the manifest of the stock image as it is. */
  async describe(): Promise<void> {
    const count = Math.ceil(stockSize / chunkSize)
    const digests = await chunkDigests(this.stock, [...Array(count).keys()])
    const container = { kind: 'raw', sha256: '0'.repeat(64) } as const
    const chunks = digests.map(([, sha256]) => sha256)
    await writeManifest(this.image.path, { format: 1, size: stockSize, chunkSize, chunks, container })
  }

  private get fresh(): string {
    return join(this.folder, 'fresh.img')
  }

  get stock(): string {
    return join(this.image.path, 'disk.img')
  }

  /** The folder that is kept between runs; there must be just one. */
  async carried(): Promise<string> {
    const names = await readdir(join(this.folder, 'carried'))
    if (names.length !== 1) throw new Error(`there are ${names.length} carried folders`)
    return join(this.folder, 'carried', names[0]!)
  }

  /** A layer set for these partitions. */
  async set(members: Record<number, Member[]>): Promise<string> {
    const folder = join(this.folder, `set-${this.sets++}`)
    await mkdir(folder)
    for (const [number, list] of Object.entries(members))
      await writeFile(join(folder, `part_${number}.tar`), await pack(list))
    return folder
  }

  /** What `save` does to the working image; `also` is done while it is edited. */
  async edit(set: string, also?: (image: WorkingImage) => Promise<void>): Promise<Seen> {
    const context = await buildContext({}, { carry: this.carry, memo: this.memo })
    try {
      return await this.editIn(context, set, also)
    } finally {
      await context.remove()
    }
  }

  private async editIn(
    context: Context<unknown>,
    set: string,
    also?: (image: WorkingImage) => Promise<void>,
  ): Promise<Seen> {
    const manifest = await readManifest(this.image.path)
    const table = { digest: this.table.digest, content: await readTable(this.table.path) }
    return withWorkingImage(
      context,
      { image: this.image, manifest, table, grow: this.grow, partitions: [1, 2] },
      async (image) => {
        const changes = await layersByPartition([set], image.table)
        const changed = await editImage(context, image, changes, epoch)
        await checkEdit(context, image, changes, context.signal)
        const ranges = await image.sums.of(
          image.disk,
          await mappedRanges(image.disk, image.table),
          changed,
          context.signal,
        )
        const chunks = await image.chunks(context.signal)
        await also?.(image)
        return {
          changed: changed.map(({ index }) => index),
          touched: await image.touched(context.signal),
          ranges,
          chunks,
          disk: await readFile(image.disk),
          notes: context.record.notes,
        }
      },
    )
  }

  /** The same edit on a copy of `from` that nobody edited before, without a working image. */
  async editFresh(from: string, set: string): Promise<Buffer> {
    const disk = this.fresh
    if (from !== disk) await copyFile(from, disk)
    const table = await readPartitionTable(disk)
    const run = runner({ home: this.folder })
    for (const { partition, layers } of await layersByPartition([set], table))
      await applyLayers({ run, disk, partition, layers, epoch, tmp: this.folder })
    return readFile(disk)
  }
}

/** Which pieces of 64 KiB differ; what one has more counts as held against zeros. */
export function differing(a: Buffer, b: Buffer): number[] {
  const size = Math.max(a.length, b.length)
  const [first, second] = [a, b].map((bytes) => Buffer.concat([bytes, Buffer.alloc(size - bytes.length)]))
  const found: number[] = []
  for (let at = 0; at < size; at += piece)
    if (!first!.subarray(at, at + piece).equals(second!.subarray(at, at + piece))) found.push(at / piece)
  return found
}
