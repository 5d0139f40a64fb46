/** Random layer sets over a random image, and random edits of them. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LayerAttributes } from '../../lib/formats/layer.ts'
import { attributes, directory, file, type Member, pack, symlink } from './layers.ts'
import type { Random } from './random.ts'
import type { RandomImage, RandomPartition } from './random-images.ts'
import { randomName } from './random-trees.ts'

/** What one layer says, by path and by what it does there: a whiteout may stand beside what takes its place. */
type Layer = ReadonlyMap<string, Member>

/** Layers by partition. */
export type LayerSet = ReadonlyMap<number, Layer>

/** All that `save` is told and that an edit may change. */
export interface Release {
  sets: readonly LayerSet[]
  grow?: string
  epoch?: number
}

/** Writes the sets below `folder`, which is made; answers their folders. */
export async function writeSets(sets: readonly LayerSet[], folder: string): Promise<string[]> {
  const folders: string[] = []
  for (const [index, set] of sets.entries()) {
    const to = join(folder, `${index}`)
    mkdirSync(to, { recursive: true })
    for (const [number, layer] of set) {
      if (layer.size > 0) writeFileSync(join(to, `part_${number}.tar`), await pack([...layer.values()]))
    }
    folders.push(to)
  }
  return folders
}

/** The release after one more edit, and what that was, in a word. */
export function edited(
  random: Random,
  image: RandomImage,
  history: readonly Release[],
): { release: Release; edit: string } {
  const release = history.at(-1)!
  const dice = random.int(1, 100)
  if (dice <= 8) return { release: random.pick(history), edit: 'undo' }
  if (dice <= 12) return { release, edit: 'repeat' }
  if (dice <= 17 && image.partitions.at(-1)!.kind === 'ext') {
    const { grow, ...rest } = release
    return { release: grow ? rest : { ...rest, grow: random.pick(['+1M', '+3M', '18M']) }, edit: 'grow' }
  }
  if (dice <= 20) {
    const { epoch, ...rest } = release
    return {
      release: epoch ? rest : { ...rest, epoch: random.int(1_600_000_000, 1_700_000_000) },
      edit: 'epoch',
    }
  }
  const sets = [...release.sets]
  if (dice <= 25 && sets.length < 3) {
    sets.splice(random.int(0, sets.length), 0, new Map())
    return { release: { ...release, sets }, edit: 'new set' }
  }
  if (dice <= 28 && sets.length > 1) {
    sets.splice(random.int(0, sets.length - 1), 1)
    return { release: { ...release, sets }, edit: 'set gone' }
  }
  const at = random.int(0, sets.length - 1)
  const edits: string[] = []
  for (let i = random.pick([1, 1, 1, 2, 5]); i > 0; i--) {
    const partition = random.pick(image.partitions)
    const layer = new Map(sets[at]!.get(partition.number) ?? [])
    edits.push(editLayer(random, partition, layer))
    sets[at] = new Map(sets[at]).set(partition.number, layer)
  }
  return { release: { ...release, sets }, edit: edits.join(', ') }
}

const keyOf = ({ entry }: Member): string =>
  entry.type === 'whiteout' || entry.type === 'opaque' ? `${entry.type} ${entry.path}` : `at ${entry.path}`

/** Puts a member in unless the layer has no place for it: below a file of its own, for one. */
function put(layer: Map<string, Member>, member: Member): void {
  const { path, type } = member.entry
  const leaf = type !== 'directory' && type !== 'whiteout' && type !== 'opaque'
  for (const { entry } of layer.values()) {
    const otherLeaf = !['directory', 'whiteout', 'opaque'].includes(entry.type)
    if (otherLeaf && path.startsWith(`${entry.path}/`)) return
    if (leaf && entry.path.startsWith(`${path}/`)) return
    if (entry.type === 'hardlink' && entry.target === path && type !== 'file') return
  }
  layer.set(keyOf(member), member)
}

type Edit = (random: Random, partition: RandomPartition, layer: Map<string, Member>) => void

const paths = ({ tree }: RandomPartition, type?: string): string[] =>
  [...tree].flatMap(([path, entry]) => (type === undefined || entry.type === type ? [path] : []))

function somewhere(random: Random, partition: RandomPartition, layer: ReadonlyMap<string, Member>): string {
  const made = [...layer.values()].flatMap(({ entry }) => (entry.type === 'directory' ? [entry.path] : []))
  const folder = random.pick(['', ...paths(partition, 'folder'), ...made])
  return `${folder}${folder && '/'}${randomName(random, partition.kind === 'fat')}`
}

function randomAttributes(random: Random, partition: RandomPartition): Partial<LayerAttributes> {
  const times = [
    { seconds: 0, nanoseconds: 0 },
    { seconds: 1_650_000_000, nanoseconds: random.int(0, 999_999_999) },
  ]
  if (partition.kind === 'fat') return { mtime: random.pick(times) }
  const xattrs = new Map<string, Buffer>()
  if (random.chance(0.15)) xattrs.set(`user.${random.int(0, 3)}`, random.bytes(random.int(0, 200)))
  if (random.chance(0.05))
    xattrs.set('security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'))
  return {
    mode: random.pick([0o644, 0o755, 0o600, 0o4755, 0o1777]),
    uid: random.pick([0, 0, 1000]),
    gid: random.pick([0, 0, 100_000]),
    mtime: random.pick(times),
    xattrs,
  }
}

const edits: Record<string, Edit> = {
  'new file': (random, partition, layer) =>
    put(
      layer,
      file(
        somewhere(random, partition, layer),
        random.content(random.fileSize(200_000)),
        randomAttributes(random, partition),
      ),
    ),
  'large file': (random, partition, layer) =>
    put(layer, file(somewhere(random, partition, layer), random.content(random.int(150_000, 500_000)))),
  'too large': (random, partition, layer) => {
    // Seldom, for it may take the layer's place for all that follows.
    if (random.chance(0.1))
      put(layer, file(somewhere(random, partition, layer), Buffer.alloc(12_000_000, 'x')))
  },
  'file changed': (random, partition, layer) => {
    const mine = [...layer.values()].filter(({ entry }) => entry.type === 'file')
    const stock = paths(partition, 'file')
    if (mine.length > 0 && (stock.length === 0 || random.chance(0.6))) {
      const { entry, data } = random.pick(mine)
      put(layer, file(entry.path, changed(random, data!), entry as Partial<LayerAttributes>))
    } else if (stock.length > 0) {
      const path = random.pick(stock)
      const entry = partition.tree.get(path)
      if (entry?.type === 'file') put(layer, file(path, changed(random, entry.data)))
    }
  },
  'same content': (random, partition, layer) => {
    const stock = paths(partition, 'file')
    if (stock.length === 0) return
    const path = random.pick(stock)
    const entry = partition.tree.get(path)
    if (entry?.type === 'file') put(layer, file(path, entry.data, randomAttributes(random, partition)))
  },
  folder: (random, partition, layer) => {
    const path = random.chance(0.5)
      ? somewhere(random, partition, layer)
      : random.pick([...paths(partition, 'folder'), 'd'])
    put(layer, directory(path, partition.kind === 'fat' ? {} : randomAttributes(random, partition)))
  },
  symlink: (random, partition, layer) => {
    if (partition.kind === 'fat') return
    const target = random.pick([...paths(partition), '/gone', 'x'.repeat(random.int(1, 200))])
    put(layer, symlink(somewhere(random, partition, layer), target))
  },
  hardlink: (random, partition, layer) => {
    const mine = [...layer.values()].filter(({ entry }) => entry.type === 'file')
    if (partition.kind === 'fat' || mine.length === 0) return
    const { path } = random.pick(mine).entry
    put(layer, {
      entry: { ...attributes(`${path}~link${random.int(0, 3)}`), type: 'hardlink', target: path },
    })
  },
  special: (random, partition, layer) => {
    if (partition.kind === 'fat') return
    const path = somewhere(random, partition, layer)
    const kinds = [{ type: 'fifo' }, { type: 'character', major: 1, minor: random.int(0, 300) }] as const
    put(layer, { entry: { ...attributes(path), ...random.pick(kinds) } })
  },
  whiteout: (random, partition, layer) => {
    const stock = paths(partition)
    if (stock.length > 0) put(layer, { entry: { type: 'whiteout', path: random.pick(stock) } })
  },
  opaque: (random, partition, layer) =>
    put(layer, { entry: { type: 'opaque', path: random.pick(['', ...paths(partition, 'folder')]) } }),
  'taken back': (random, _, layer) => {
    const targets = new Set(
      [...layer.values()].map(({ entry }) => (entry.type === 'hardlink' ? entry.target : '')),
    )
    const free = [...layer].filter(([, { entry }]) => !targets.has(entry.path))
    if (free.length > 0) layer.delete(random.pick(free)[0])
  },
}
const often = ['new file', 'file changed', 'file changed', 'taken back', 'whiteout', ...Object.keys(edits)]

function editLayer(random: Random, partition: RandomPartition, layer: Map<string, Member>): string {
  const name = random.pick(often)
  edits[name]!(random, partition, layer)
  return name
}

/** A byte changed, some added, some gone, or all new. */
function changed(random: Random, data: Buffer): Buffer {
  const at = random.int(0, data.length)
  const [before, after] = [data.subarray(0, at), data.subarray(at)]
  switch (random.int(0, 3)) {
    case 0:
      return Buffer.concat([before, Buffer.from([random.int(0, 255)]), after.subarray(1)])
    case 1:
      return Buffer.concat([before, random.content(random.int(1, 5000)), after])
    case 2:
      return before
    default:
      return random.content(random.fileSize(100_000))
  }
}
