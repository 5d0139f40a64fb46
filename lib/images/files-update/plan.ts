/** What has to change on one partition of a card so that the image's files are there and the device's own stay. */
import { FleetsieError } from '../../errors.ts'
import { compareEntries, type LayerAttributes, type LayerInput } from '../../formats/layer.ts'
import { compareTrees, type NodeChange } from '../diff/compare.ts'
import { type FileState, VolumeTree } from '../diff/tree.ts'
import { identify } from '../os/identity.ts'
import { lookUp } from '../os/volume-file.ts'
import { assertRunning } from '../tree/merge.ts'
import { shown, toBytes, type Volume } from '../volume.ts'
import { contentOf, sameContent } from '../volume-content.ts'
import { isProtected, isSwitchedOff, type Role } from './keep.ts'
import { isAccountFile, mergeAccounts, numberClashes } from './merge-accounts.ts'

export interface FilesPlan {
  /** In a layer's order. */
  entries: LayerInput[]
  added: number
  changed: number
  removed: number
  kept: number
  bytesWritten: number
  differing: string[]
  notes: string[]
}

export interface Sides {
  card: Volume
  image: Volume
  stock: Volume | undefined
}

type Change = NodeChange<number, number>

/** Our own mark, which tells an interrupted update from any other damage. */
export const markName = '.fleetsie-update'

/** Fails with E_UNSUPPORTED for a name of the image that a layer cannot hold, and with E_INTERRUPTED. */
export async function planFiles(sides: Sides, signal?: AbortSignal): Promise<FilesPlan> {
  const role = roleOf(sides.image)
  const has = (volume: Volume) => (path: string) => lookUp(volume, path) !== undefined
  const before = { stock: sides.stock && has(sides.stock), card: has(sides.card) }
  const plan = new Plan(sides)
  const changes = compareTrees(new VolumeTree(sides.card), new VolumeTree(sides.image), {
    untouched: () => false,
    sameContent: (a, b) => sameContent(sides.card, a, sides.image, b),
    times: false,
  })
  const extra: Change[] = []
  let turn = Date.now()
  for (const change of changes) {
    if (Date.now() - turn > 50) {
      // All of this is synchronous: an interrupt has to get through.
      await new Promise((resolve) => setImmediate(resolve))
      assertRunning(signal)
      turn = Date.now()
    }
    const path = shown(change.path)
    if (change.path === '' || path === markName) continue
    if (role === 'root' && isAccountFile(path) && change.kind === 'changed') plan.accounts(change, path)
    else if (isProtected(role, path) || isSwitchedOff({ ...change, path }, role, before))
      plan.keep(change, path)
    else if (change.kind === 'removed') extra.push(change)
    else plan.put(change, path)
  }
  plan.removeOrKeep(extra)
  return plan.finish()
}

function roleOf(image: Volume): Role {
  if (image.foldsCase) return 'boot'
  return identify(image) ? 'root' : 'data'
}

class Plan implements Omit<FilesPlan, 'entries'> {
  added = 0
  changed = 0
  removed = 0
  kept = 0
  bytesWritten = 0
  differing: string[] = []
  notes: string[] = []
  private readonly sides: Sides
  private readonly inputs: (LayerInput & { id?: number })[] = []

  constructor(sides: Sides) {
    this.sides = sides
  }

  keep({ kind, before }: Change, path: string): void {
    if (before?.type !== 'directory') this.kept++
    if (kind === 'changed' && before?.type !== 'directory') this.differing.push(path)
    else if (kind === 'added') this.differing.push(path)
  }

  accounts({ nodes, after }: Change, path: string): void {
    const [card, image] = [text(this.sides.card, nodes.before!), text(this.sides.image, nodes.after!)]
    const merged = mergeAccounts(path, card, image)
    if (path === 'etc/passwd' || path === 'etc/group') {
      for (const clash of numberClashes(card, image)) this.notes.push(`/${path}: ${clash}`)
    }
    if (merged !== image) this.differing.push(path)
    if (merged === card) {
      this.kept++
      return
    }
    const content = Buffer.from(merged, 'latin1')
    this.changed++
    this.bytesWritten += content.length
    this.inputs.push({
      entry: { ...attributes(path, after!), type: 'file', size: content.length },
      content: pieces([content]),
    })
  }

  put({ path: bytes, kind, differs, before, after, nodes }: Change, path: string): void {
    if (toBytes(path) !== bytes) throw odd(path)
    this[kind === 'added' ? 'added' : 'changed']++
    // A link to a folder would be followed, and a folder on FAT cannot become a file.
    if (differs.includes('type')) this.inputs.push({ entry: { type: 'whiteout', path } })
    if (before?.type === 'directory' && after!.type !== 'directory') {
      this.notes.push(`/${path} was a folder on the card and is none in the image: what was in it is gone`)
    }
    const { image } = this.sides
    const id = nodes.after!
    const said = attributes(path, after!)
    switch (after!.type) {
      case 'file':
        this.inputs.push({
          entry: { ...said, type: 'file', size: after!.size },
          content: pieces(contentOf(image, id)),
          id,
        })
        return
      case 'directory':
        this.inputs.push({ entry: { ...said, type: 'directory' } })
        return
      case 'symlink':
        this.inputs.push({ entry: { ...said, type: 'symlink', target: shown(after!.target!) } })
        return
      case 'character':
      case 'block':
        this.inputs.push({ entry: { ...said, type: after!.type, ...after!.device! } })
        return
      case 'fifo':
        this.inputs.push({ entry: { ...said, type: 'fifo' } })
        return
      case 'socket':
        this.notes.push(`/${path} is a socket in the image, which only a running program can make`)
    }
  }

  /** What no image had stays; a folder goes only when all in it goes. */
  removeOrKeep(extra: readonly Change[]): void {
    const { stock } = this.sides
    const had = (path: string): boolean => stock !== undefined && lookUp(stock, path) !== undefined
    const keptIn = new Set<string>()
    // From the deepest on, so that a folder knows of what is in it.
    for (const { path: bytes, before } of [...extra].reverse()) {
      const path = shown(bytes)
      if (had(path) && !keptIn.has(bytes)) {
        this.removed++
        this.inputs.push({ entry: { type: 'whiteout', path } })
        continue
      }
      if (before?.type !== 'directory') this.kept++
      for (let at = bytes.lastIndexOf('/'); at > 0; at = bytes.lastIndexOf('/', at - 1))
        keptIn.add(bytes.slice(0, at))
    }
  }

  finish(): FilesPlan {
    const { added, changed, removed, kept, differing, notes } = this
    const inputs = withoutCovered(this.inputs).sort((a, b) => compareEntries(a.entry, b.entry))
    const entries = this.linked(inputs)
    return {
      entries,
      added,
      changed,
      removed,
      kept,
      bytesWritten: this.bytesWritten,
      differing: differing.sort(),
      notes,
    }
  }

  /** Of several names of one file, the first brings it. */
  private linked(inputs: readonly (LayerInput & { id?: number })[]): LayerInput[] {
    const first = new Map<number, string>()
    return inputs.map(({ entry, content, id }) => {
      if (entry.type !== 'file' || id === undefined) return { entry, ...(content && { content }) }
      const target = first.get(id)
      if (target !== undefined) return { entry: { ...entry, type: 'hardlink', target } }
      first.set(id, entry.path)
      this.bytesWritten += entry.size
      return { entry, ...(content && { content }) }
    })
  }
}

/** A whiteout takes all below it along. */
function withoutCovered<T extends LayerInput>(inputs: readonly T[]): T[] {
  const gone = new Set(inputs.flatMap(({ entry }) => (entry.type === 'whiteout' ? [entry.path] : [])))
  const covered = (path: string): boolean => {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      if (gone.has(path.slice(0, at))) return true
    }
    return false
  }
  return inputs.filter(({ entry }) => entry.type !== 'whiteout' || !covered(entry.path))
}

function attributes(path: string, { mode, uid, gid, mtime, xattrs }: FileState): LayerAttributes {
  const named = new Map([...xattrs].map(([name, value]) => [shown(name), value]))
  return { path, mode, uid, gid, mtime, xattrs: named }
}

function text(volume: Volume, id: number): string {
  return Buffer.concat([...contentOf(volume, id)].map((piece) => Buffer.from(piece))).toString('latin1')
}

async function* pieces(source: Iterable<Buffer>): AsyncGenerator<Buffer> {
  yield* source
}

function odd(path: string): FleetsieError {
  return new FleetsieError(
    'E_UNSUPPORTED',
    `${JSON.stringify(path)} in the image is a name that is not UTF-8`,
  )
}
