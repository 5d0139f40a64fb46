/** Steps between pushes: whatever was pushed before, the device ends with what the image would hold. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { compareEntries, type LayerEntry } from '../../../../lib/formats/layer.ts'
import { ExtReader } from '../../../../lib/images/ext/reader.ts'
import type { IndexedEntry } from '../../../../lib/images/sync/index-layers.ts'
import type { Item } from '../../../../lib/images/sync/item.ts'
import { type Steps, stepsBetween } from '../../../../lib/images/sync/steps.ts'
import { type WantedTree, wantedTree } from '../../../../lib/images/sync/wanted.ts'
import { applyEntry } from '../../../../lib/images/tree/merge.ts'
import { type MergedNode, MergedTree } from '../../../../lib/images/tree/merged.ts'
import { Window } from '../../../../lib/images/window.ts'
import { MiB, TestDisk, toolEnvironment } from '../../../helpers/disks.ts'
import { directory, file } from '../../../helpers/layers.ts'

interface Layer {
  path: string
  entries: IndexedEntry[]
}

/** What is at each path: the type, its mode, and which content. */
type Tree = Map<string, string>

const seeds = 400
const pushes = 5

/** Deterministic numbers below `limit`. Source: mulberry32. */
function random(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }
}

function randomLayers(next: (limit: number) => number, push: number): Layer[] {
  const path = (): string => Array.from({ length: 1 + next(3) }, () => 'abcd'[next(4)]!).join('/')
  return Array.from({ length: next(3) }, (_, number) => {
    const entries = new Map<string, IndexedEntry>()
    for (let count = next(5); count > 0; count--) {
      const entry = randomEntry(path(), next)
      const content = { name: '', size: 1, dataBlocks: 1, runs: 1, digest: `${next(3)}` }
      entries.set(`${entry.type === 'whiteout' || entry.type === 'opaque' ? entry.type : ''} ${entry.path}`, {
        entry,
        ...(entry.type === 'file' ? { content } : {}),
      })
    }
    const sorted = [...entries.values()].sort((a, b) => compareEntries(a.entry, b.entry))
    return { path: `${push}/${number}`, entries: sorted }
  })
}

function randomEntry(path: string, next: (limit: number) => number): LayerEntry {
  const mode = next(2) ? 0o700 : 0o755
  switch (next(6)) {
    case 0:
      return { type: 'whiteout', path }
    case 1:
      return { type: 'opaque', path }
    case 2:
      return directory(path, { mode }).entry
    default:
      return file(path, 'x', { mode }).entry
  }
}

/** What the image would hold. */
async function imageWith(reader: ExtReader, layers: readonly Layer[]): Promise<Tree> {
  const tree = new MergedTree(reader)
  for (const { entries } of layers) {
    for (const { entry, content } of entries) await applyEntry(tree, entry, () => content!)
  }
  const found: Tree = new Map()
  const walk = (folder: MergedNode, path: string): void => {
    for (const child of tree.children(folder).values()) {
      const node = tree.nodeOf(child)
      const mode = node.attributes?.mode ?? reader.node(node.origin!).mode
      const content = node.content ? `layer ${node.content.digest}` : `stock ${node.origin}`
      found.set(`${path}${child.name}`, `${node.type} ${mode} ${node.type === 'directory' ? '' : content}`)
      if (node.type === 'directory') walk(node, `${path}${child.name}/`)
    }
  }
  walk(tree.root, '')
  return found
}

/** What the plan does to a device's tree. */
function carryOut(tree: Tree, { removals, items }: Steps, digestOf: (item: Item) => string): void {
  const below = (path: string): string[] => [...tree.keys()].filter((key) => key.startsWith(`${path}/`))
  const remove = (path: string): void => {
    for (const key of [path, ...below(path)]) tree.delete(key)
  }
  for (const { path, ifEmpty } of removals) {
    if (!ifEmpty) remove(path)
    else if (below(path).length === 0 && tree.get(path)?.startsWith('directory')) tree.delete(path)
  }
  for (const item of [...items.filter((one) => !one.linkTo), ...items.filter((one) => one.linkTo)]) {
    const { path, type, attributes } = item
    const parent = path.slice(0, Math.max(path.lastIndexOf('/'), 0))
    assert.ok(parent === '' || tree.get(parent)?.startsWith('directory'), `${path} has no folder to be in`)
    if (type !== 'directory' || !tree.get(path)?.startsWith('directory')) remove(path)
    tree.set(path, `${type} ${attributes.mode} ${type === 'directory' ? '' : digestOf(item)}`)
  }
}

describe('steps between pushes', () => {
  const disk = new TestDisk(8 * MiB)
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-steps-'))
  let window: Window
  let reader: ExtReader

  before(() => {
    for (const path of ['a/a', 'a/b/c', 'b/a/a', 'b/a/b', 'b/d', 'c', 'd/d/d']) {
      mkdirSync(join(folder, path, '..'), { recursive: true })
      writeFileSync(join(folder, path), path)
    }
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', folder, disk.path], { env: toolEnvironment })
    window = new Window(disk.path, { offset: 0, size: 8 * MiB })
    reader = new ExtReader(window)
  })
  after(() => {
    window?.close()
    disk.remove()
    rmSync(folder, { recursive: true })
  })

  it(`lead to what the image would hold, for ${seeds} random sequences of ${pushes} pushes`, async () => {
    let compared = 0
    for (let seed = 0; seed < seeds; seed++) {
      const next = random(seed)
      const device = await imageWith(reader, [])
      let pushed: WantedTree = new Map()
      for (let push = 0; push < pushes; push++) {
        const layers = randomLayers(next, push)
        let image: Tree
        try {
          image = await imageWith(reader, layers)
        } catch (error) {
          // A folder below a file, which no build would accept.
          assert.equal((error as FleetsieError).code, 'E_INPUT')
          continue
        }
        const wanted = await wantedTree(reader, layers)
        const digestOf = ({ content }: Item): string => {
          if (!content || 'stock' in content) return `stock ${content?.stock}`
          const layer = layers.find(({ path }) => path === content.layer)!
          return `layer ${layer.entries[content.member]!.content!.digest}`
        }
        carryOut(device, stepsBetween(reader, pushed, wanted), digestOf)
        assert.deepEqual(
          [...device].sort(),
          [...image].sort(),
          `seed ${seed}, push ${push}: ${JSON.stringify(layers)}`,
        )
        pushed = wanted
        compared++
      }
    }
    assert.ok(compared > seeds * 2, `only ${compared} pushes could be compared`)
  })

  it('are none when the same layers come again', async () => {
    const content = { name: '', size: 1, dataBlocks: 1, runs: 1, digest: '1' }
    const layers = [{ path: 'l', entries: [{ entry: file('a/new', 'x').entry, content }] }]
    const wanted = await wantedTree(reader, layers)
    assert.equal(stepsBetween(reader, new Map(), wanted).items.length, 1)
    assert.deepEqual(stepsBetween(reader, wanted, await wantedTree(reader, layers)), {
      removals: [],
      items: [],
    })
  })
})
