/** One random stock image, saved again and again: after each edit with what was kept, from nothing, and by the book. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual, promisify } from 'node:util'
import { runner } from '../../lib/engine/process.ts'
import type { Input } from '../../lib/engine/stage.ts'
import { removeTree } from '../../lib/engine/store/remove.ts'
import type { Store } from '../../lib/engine/store/store.ts'
import { FleetsieError } from '../../lib/errors.ts'
import { readFileIndex } from '../../lib/formats/xz/file-index.ts'
import { applyLayers } from '../../lib/images/apply.ts'
import { chunkDigests } from '../../lib/images/chunk-digests.ts'
import { decompressImage } from '../../lib/images/decompress.ts'
import { chunkSize, diskName, type ImageManifest } from '../../lib/images/image.ts'
import { maxImageSize } from '../../lib/images/limits.ts'
import { readPartitionTable, writeTable } from '../../lib/images/partitions.ts'
import { growImage, grownSize } from '../../lib/images/save/grow.ts'
import { imageTime } from '../../lib/images/save/image-time.ts'
import { layersByPartition } from '../../lib/images/save/layer-sets.ts'
import { saveImage } from '../../lib/images/save/save-image.ts'
import { buildContext, fakeInput, type TestContext } from './context.ts'
import { Random } from './random.ts'
import { makeRandomImage, type RandomImage } from './random-images.ts'
import type { Release } from './random-layers.ts'
import { makeRandomStock } from './random-stock.ts'

/** Files by name, or why there are none. */
export type Outcome = { files: Map<string, Buffer> } | { code: string; message: string }

export class Lineage {
  readonly random: Random
  readonly image: RandomImage
  /** What the stock is, in words. */
  readonly title: string
  readonly folder: string
  readonly #seed: string
  #saves = 0

  private constructor(folder: string, seed: string, random: Random, image: RandomImage, title: string) {
    this.folder = folder
    this.#seed = seed
    this.random = random
    this.image = image
    this.title = title
  }

  /** Makes the stock in `folder`, and from it image and table as the stages before `save` do. */
  static async open(folder: string, seed: string): Promise<Lineage> {
    const random = new Random(seed)
    mkdirSync(join(folder, 'tmp'), { recursive: true })
    const run = runner({ home: folder })
    const original = join(folder, 'original.img')
    const image = await makeRandomImage(random, run, original, join(folder, 'tmp'))
    const title = await makeRandomStock(random, run, original, join(folder, 'stock'))
    mkdirSync(join(folder, 'table'))
    const context = await buildContext({}, { out: join(folder, 'image') })
    mkdirSync(context.out)
    await decompressImage(context, fakeInput(join(folder, 'stock')), maxImageSize)
    await context.remove()
    const disk = join(folder, 'image', diskName)
    await promisify(execFile)('cmp', [disk, original])
    await writeTable(join(folder, 'table'), await readPartitionTable(disk))
    return new Lineage(folder, seed, random, image, title)
  }

  remove(): Promise<void> {
    return removeTree(this.folder)
  }

  /** `save` with the carried folder and the memo of `store`. */
  saveWith(store: Store, release: Release, sets: readonly string[]): Promise<Outcome> {
    const carrier = { stage: 'save', onWait: () => {} }
    return this.#save(release, sets, async (context) => ({
      ...context,
      carry: (name, use) => store.carry(this.carriedId(name), carrier, use),
      memo: await store.memo(),
    }))
  }

  /** `save` as in an empty store. */
  saveFromNothing(release: Release, sets: readonly string[]): Promise<Outcome> {
    return this.#save(release, sets, async (context) => context)
  }

  /** Its name below carried/ in the store. */
  carriedId(name: string): string {
    return `save-${this.#seed}-${name}`
  }

  /**
   * Makes, in the new folder `folder`, the raw image that the layers make of the stock, without any of what makes
   * `save` quick. Answers its path.
   */
  async byTheBook(release: Release, sets: readonly string[], folder: string): Promise<string> {
    mkdirSync(folder)
    const disk = join(folder, diskName)
    copyFileSync(join(this.folder, 'original.img'), disk)
    const run = runner({ home: folder })
    const stock = await readPartitionTable(disk)
    const epoch = release.epoch ?? (await imageTime(disk, stock))
    if (release.grow) {
      await growImage({
        run,
        disk,
        table: stock,
        to: grownSize(release.grow, stock.size),
        epoch,
        tmp: folder,
      })
    }
    const table = await readPartitionTable(disk)
    for (const { partition, layers } of await layersByPartition(sets, table)) {
      await applyLayers({ run, disk, partition, layers, epoch, tmp: folder })
    }
    return disk
  }

  async #save(
    release: Release,
    sets: readonly string[],
    keep: (context: TestContext<object>) => Promise<TestContext<object>>,
  ): Promise<Outcome> {
    const jobs = 1 + (this.#saves++ % 3)
    const given = await buildContext({}, { jobs, epoch: release.epoch })
    const context = await keep(given)
    try {
      await saveImage(context, {
        image: this.#input('image', 'image.json'),
        table: this.#input('table', 'table.json'),
        stock: this.#input('stock', 'file.json'),
        layers: sets.map((set) => fakeInput(set)),
        name: 'random',
        ...(release.grow ? { grow: release.grow } : {}),
      })
      const names = readdirSync(context.out).sort()
      const files = new Map(names.map((name) => [name, readFileSync(join(context.out, name))]))
      const declared = [...context.record.declared].sort()
      return { files: files.set('declared', Buffer.from(JSON.stringify(declared))) }
    } catch (error) {
      if (!(error instanceof FleetsieError)) throw error
      return { code: error.code, message: error.message }
    } finally {
      await context.remove()
    }
  }

  #input(name: string, file: string): Input {
    const path = join(this.folder, name)
    return fakeInput(
      path,
      createHash('sha256')
        .update(readFileSync(join(path, file)))
        .digest('hex'),
    )
  }
}

/** What the manifest `text` of the .img.xz `packed`, and its table, say of the raw file `image` that is not so, in words. */
export async function faultOfManifest(
  text: Buffer,
  table: Buffer,
  packed: Buffer,
  image: string,
): Promise<string | undefined> {
  if (!isDeepStrictEqual(JSON.parse(table.toString()), await readPartitionTable(image)))
    return 'table.json is another one'
  const { size, chunks, container, xz }: ImageManifest = JSON.parse(text.toString())
  if (size !== statSync(image).size) return `image.json says ${size} bytes`
  const digests = await chunkDigests(image, [...Array(Math.ceil(size / chunkSize)).keys()])
  const wrong = digests.findIndex(([chunk, sha256]) => chunks[chunk] !== sha256)
  if (wrong >= 0 || chunks.length !== digests.length) return `image.json is wrong of chunk ${wrong}`
  if (container.sha256 !== createHash('sha256').update(packed).digest('hex'))
    return 'image.json is of another file'
  const index = await readFileIndex(async (at, length) => packed.subarray(at, at + length), packed.length)
  const same = isDeepStrictEqual(xz, { check: index.streams[0]!.check, streams: 1, blocks: index.blocks })
  return same ? undefined : 'image.json has other blocks than the index of the .xz'
}

/** What differs between the image that `xz` decodes of `bytes` and the file `image`, in words. `folder` is empty. */
export async function differenceAsImage(
  bytes: Buffer,
  image: string,
  folder: string,
): Promise<string | undefined> {
  mkdirSync(folder)
  const file = join(folder, 'decoded')
  writeFileSync(`${file}.xz`, bytes)
  const execute = promisify(execFile)
  await execute('xz', ['-d', `${file}.xz`])
  // By a program: two buffers of an image each would make all that forks slow.
  return execute('cmp', [file, image]).then(
    () => undefined,
    ({ stdout, stderr }) => `it decodes to another image: ${stdout || stderr}`,
  )
}
