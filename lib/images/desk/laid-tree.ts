/** What `.new_N` has to hold so that the merged tree is what a build would make of overlays/. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Source } from '../../engine/stage.ts'
import { inFile } from '../../errors.ts'
import type { LayerEntry } from '../../formats/layer.ts'
import { parseMtree } from '../../formats/mtree.ts'
import { type Planned, planEntries } from '../overlay/entries.ts'
import { overlaySources } from '../overlay/sources.ts'
import { walk } from '../overlay/walk.ts'
import { opaqueMark } from '../overlay/whiteouts.ts'
import { applyEntry } from '../tree/merge.ts'
import { type MergedNode, MergedTree } from '../tree/merged.ts'
import type { Staged } from '../tree/staging.ts'
import { shown, toBytes } from '../volume.ts'
import type { Baseline, Held } from './baseline.ts'
import { listed } from './keep-tracked.ts'
import { type LaidNode, nodesOf } from './laid-nodes.ts'
import { baseOf, below, parentOf } from './nodes.ts'
import { sha256Of, stampOf } from './overlay-edit.ts'
import { lineOf } from './said.ts'
import type { Stock } from './stock.ts'
import { readMtreeFile } from './take-lines.ts'
import type { Desk, UpperForm } from './types.ts'

export interface LaidTree {
  /** By path in `.new_N`. */
  nodes: Map<string, LaidNode>
  overlay: Map<string, Held>
}

/** Takes what `overlay` takes, private keys as well: they are the user's. Fails with E_INPUT as `overlay` does. */
export async function laidTree(
  desk: Desk,
  number: number,
  stock: Stock,
  form: UpperForm,
  before: Baseline | undefined,
): Promise<LaidTree> {
  const part = `part_${number}`
  const sources = await sourcesOf(desk, number, before)
  const file = sources.some(({ path }) => path === `overlays/${part}.mtree`)
  const lines = file
    ? await inFile(`overlays/${part}.mtree`, async () => parseMtree(await readMtreeFile(desk, number)))
    : []
  const prefix = `overlays/${part}/`
  const known = new Set(sources.map(({ path }) => path))
  await tellIgnored(desk, part, known)
  const inside = sources.filter(({ path }) => path.startsWith(prefix))
  const plan = await inFile(`overlays/${part}`, () => planEntries(inside, prefix, lines))
  const tree = new MergedTree(stock.volume)
  const contents = new Map<MergedNode, Source & { type: 'file' }>()
  const places = new Places(tree)
  for (const planned of plan) await inFile(`overlays/${part}`, () => lay(tree, planned, contents, places))
  const paths = places.paths()
  const overlay = await heldOf(inside, prefix, before)
  for (const line of lines) overlay.set(line.path, { ...overlay.get(line.path), line: lineOf(line) })
  const emptied = new Set<string>()
  for (const [path, held] of overlay) {
    const at = places.of(path, paths)
    if (at !== undefined && at !== path) held.at = at
    if (held.opaque) emptied.add(held.at ?? path)
  }
  return { nodes: nodesOf(tree, stock, form, contents, emptied), overlay }
}

async function sourcesOf(desk: Desk, number: number, before: Baseline | undefined): Promise<Source[]> {
  const sha256 = async (path: string): Promise<string> => {
    const name = path.slice(join(desk.folder, 'overlays', `part_${number}`).length + 1)
    const body = before?.overlay.get(name)?.body
    const isKnown = body?.type === 'file' && body.stamp === (await stampOf(path))
    return isKnown ? body.sha256 : sha256Of(path)
  }
  const folder = join(desk.folder, 'overlays')
  const isThere = async (name: string) =>
    (await lstat(join(folder, name)).catch(() => undefined)) !== undefined
  if (!(await isThere(`part_${number}`)) && !(await isThere(`part_${number}.mtree`))) return []
  return overlaySources(
    { from: 'overlays', partition: number, allowPrivateKeys: { includes: () => true } },
    { cwd: desk.folder, sha256, note: () => {} },
  )
}

async function tellIgnored(desk: Desk, part: string, known: ReadonlySet<string>): Promise<void> {
  const all = await walk(join(desk.folder, 'overlays'), part).catch(() => [])
  const hidden = all.filter(({ path, type }) => type !== 'directory' && !known.has(`overlays/${path}`))
  if (hidden.length === 0) return
  desk.warn(
    `git ignores ${listed(hidden.map(({ path }) => path))}: neither the merged tree nor a build has it`,
  )
}

async function lay(
  tree: MergedTree,
  { entry, source }: Planned,
  contents: Map<MergedNode, Source & { type: 'file' }>,
  places: Places,
): Promise<void> {
  // Contents stay where they are: nobody asks this tree for their bytes.
  const staged: Staged = { name: '', size: 0, dataBlocks: 0, runs: 0, digest: '' }
  await applyEntry(tree, entry, () => staged)
  const node = places.note(entry)
  if (source && node) contents.set(node, source)
}

/** Where entries came to lie: links of the image may have led them elsewhere. */
class Places {
  readonly #tree: MergedTree
  readonly #folders = new Map<string, MergedNode>()

  constructor(tree: MergedTree) {
    this.#tree = tree
  }

  note(entry: LayerEntry): MergedNode | undefined {
    const { path } = entry
    const whole = entry.type === 'opaque' || entry.type === 'directory'
    const folder = this.#tree.resolve(toBytes(whole ? path : parentOf(path)), 'nothing')
    if (folder?.type !== 'directory') return undefined
    this.#folders.set(whole ? path : parentOf(path), folder)
    return whole ? folder : this.#tree.child(folder, toBytes(baseOf(path)))
  }

  /** Of all folders that were looked into. */
  paths(): Map<MergedNode, string> {
    const paths = new Map<MergedNode, string>([[this.#tree.root, '']])
    const visit = (folder: MergedNode, path: string): void => {
      for (const { name, node } of folder.children?.values() ?? []) {
        if (node?.type !== 'directory') continue
        paths.set(node, below(path, shown(name)))
        visit(node, below(path, shown(name)))
      }
    }
    visit(this.#tree.root, '')
    return paths
  }

  of(path: string, paths: ReadonlyMap<MergedNode, string>): string | undefined {
    const own = this.#folders.get(path)
    if (own) return paths.get(own)
    const folder = this.#folders.get(parentOf(path))
    const parent = folder && paths.get(folder)
    return parent === undefined ? undefined : below(parent, baseOf(path))
  }
}

async function heldOf(
  sources: readonly Source[],
  prefix: string,
  before: Baseline | undefined,
): Promise<Map<string, Held>> {
  const overlay = new Map<string, Held>()
  const add = (path: string, held: Held): void => void overlay.set(path, { ...overlay.get(path), ...held })
  for (const source of sources) {
    const path = source.path.slice(prefix.length)
    const name = baseOf(path)
    if (source.type === 'directory') add(path, { body: { type: 'directory' } })
    else if (source.type === 'symlink') add(path, { body: { type: 'symlink', target: source.target } })
    else if (name === opaqueMark) add(parentOf(path), { opaque: true })
    else if (name.startsWith('.wh.'))
      add(below(parentOf(path), name.slice('.wh.'.length)), { whiteout: true })
    else {
      const stamp = await stampOf(source.from)
      const known = before?.overlay.get(path)?.body
      const sha256 = known?.type === 'file' && known.stamp === stamp ? known.sha256 : source.sha256
      add(path, { body: { type: 'file', sha256, program: source.mode === 0o755, stamp } })
    }
  }
  return overlay
}
