/** A small image with a FAT and an ext4 partition, cards that it was written to, and receipts of that. */
import { copyFile, mkdtemp, open, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runner } from '../../../../lib/engine/process.ts'
import { removeTree } from '../../../../lib/engine/store/remove.ts'
import { bmapBlockSize } from '../../../../lib/formats/bmap.ts'
import { chunkDigests } from '../../../../lib/images/chunk-digests.ts'
import { findReceipt, voidReceipt } from '../../../../lib/images/flash/receipt.ts'
import type { CardIdentity } from '../../../../lib/images/flash/receipt-identity.ts'
import { type Belief, heldByReceipt, isCardOf } from '../../../../lib/images/flash/receipt-trust.ts'
import { type Flashed, writeReceipt } from '../../../../lib/images/flash/receipt-write.ts'
import { openTarget } from '../../../../lib/images/flash/target.ts'
import type { Area, DiskImage } from '../../../../lib/images/flash/types.ts'
import { chunkSize } from '../../../../lib/images/image.ts'
import { readPartitionTable } from '../../../../lib/images/partitions.ts'
import { mappedRanges } from '../../../../lib/images/save/mapped-ranges.ts'
import { MiB, tool } from '../../../helpers/disks.ts'

export const fat = { offset: MiB, size: 4 * MiB }
export const ext = { offset: 5 * MiB, size: 16 * MiB }
const imageSize = 24 * MiB
/** Room for a mark. */
export const cardSize = 32 * MiB
export const signal = new AbortController().signal
export const run = runner({ home: tmpdir() })

export class ReceiptRig {
  readonly folder: string
  readonly image: DiskImage

  private constructor(folder: string, image: DiskImage) {
    this.folder = folder
    this.image = image
  }

  static async open(): Promise<ReceiptRig> {
    const folder = await mkdtemp(join(tmpdir(), 'fleetsie-receipt-'))
    const raw = join(folder, 'disk.img')
    await (await open(raw, 'wx')).close()
    await truncate(raw, imageSize)
    const table = [fat, ext].map(({ offset, size }, i) => {
      return `start=${offset / 512}, size=${size / 512}, type=${i === 0 ? 'c' : '83'}\n`
    })
    tool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', raw], `label: dos\n${table.join('')}`)
    tool('mkfs.vfat', ['--invariant', `--offset=${fat.offset / 512}`, raw, `${fat.size / 1024}`])
    tool('mmd', ['-i', `${raw}@@${fat.offset}`, '::/deep'])
    tool('mcopy', ['-i', `${raw}@@${fat.offset}`, '-', '::/deep/config.txt'], 'one\n')
    const options = ['-q', '-F', '-b', '1024', '-E', `offset=${ext.offset},nodiscard`]
    tool('mkfs.ext4', [...options, raw, `${ext.size / 1024}k`])
    const content = join(folder, 'content')
    const handle = await open(content, 'wx')
    for (let i = 0; i < 8; i++) await handle.write(Buffer.alloc(MiB, `content ${i}`))
    await handle.close()
    tool('debugfs', ['-w', '-R', `write ${content} content`, `${raw}?offset=${ext.offset}`])
    return new ReceiptRig(folder, await imageOf(raw))
  }

  /** The one that another process opened. */
  static async at(folder: string): Promise<ReceiptRig> {
    return new ReceiptRig(folder, await imageOf(join(folder, 'disk.img')))
  }

  remove(): Promise<void> {
    return removeTree(this.folder)
  }

  get raw(): string {
    return join(this.folder, 'disk.img')
  }

  get receipts(): string {
    return join(this.folder, 'receipts')
  }

  /** A file of `cardSize` bytes that holds the image. */
  async card(name: string): Promise<string> {
    const path = join(this.folder, name)
    await copyFile(this.raw, path)
    await truncate(path, cardSize)
    return path
  }

  /** As after a flash of the whole card. */
  async keep(path: string, identity: CardIdentity, more: Partial<Flashed> = {}): Promise<void> {
    await this.#withAreas(path, async (areas) => {
      const { chunks, mapped } = this.image
      await writeReceipt({
        ...{ folder: this.receipts, env: {}, identity, areas, image: this.image, signal },
        report: { chunks: [...chunks!], covers: [...mapped] },
        ...{ before: undefined, earlier: undefined, own: [] },
        ...more,
      })
    })
  }

  /** What its receipt says of the card. */
  believe(path: string, identity: CardIdentity): Promise<Belief> {
    return this.#withAreas(path, async (areas) => {
      const receipt = await findReceipt(this.receipts, identity)
      return heldByReceipt({ receipt, identity, areas, image: this.image, signal })
    })
  }

  /** Whether it is the card of the reader's receipt: else it is asked what it holds before it is written. */
  isKnown(path: string, identity: CardIdentity): Promise<boolean> {
    return this.#withAreas(path, async ([area]) => {
      return isCardOf(await findReceipt(this.receipts, identity), area!.target)
    })
  }

  /** Why its receipt is not believed. */
  async doubt(path: string, identity: CardIdentity): Promise<string> {
    const belief = await this.believe(path, identity)
    return 'why' in belief ? belief.why : 'it is believed'
  }

  void(identity: CardIdentity): Promise<void> {
    return voidReceipt(this.receipts, identity)
  }

  async #withAreas<T>(path: string, use: (areas: Area[]) => Promise<T>): Promise<T> {
    const target = await openTarget(path, { run })
    try {
      return await use([{ image: { offset: 0, length: this.image.size }, target }])
    } finally {
      await target.close()
    }
  }
}

/** A raw file as the image of a flash. */
async function imageOf(raw: string): Promise<DiskImage> {
  const table = await readPartitionTable(raw)
  const chunks = await chunkDigests(raw, [...Array(Math.ceil(table.size / chunkSize)).keys()])
  const mapped = (await mappedRanges(raw, table)).map(({ first, last }) => {
    const offset = first * bmapBlockSize
    return { offset, length: Math.min((last + 1) * bmapBlockSize, table.size) - offset }
  })
  return {
    ...{ name: 'disk.img', sha256: 'a'.repeat(64), size: table.size, table, mapped },
    chunks: chunks.map(([, sum]) => sum),
    read: () => assertUnused(),
    readChunks: () => assertUnused(),
    waited: () => ({ reading: 0, decoding: 0 }),
    close: async () => {},
  }
}

function assertUnused(): never {
  throw new Error('nothing here decodes the image')
}

/** A card in a reader that tells nothing of it: its state is what the test says. */
export function inReader(path: string, state?: () => string | undefined): CardIdentity {
  return { key: 'usb\nreader', starts: [0], disk: path, state: async () => state?.() }
}

export async function patch(path: string, at: number, bytes: Buffer | string): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(Buffer.from(bytes), 0, bytes.length, at)
  await file.close()
}
