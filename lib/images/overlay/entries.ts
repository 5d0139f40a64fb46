/** Makes a layer's entries of an overlay's sources and of what its mtree file says. */
import type { Source } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { compareEntries, type LayerAttributes, type LayerEntry } from '../../formats/layer.ts'
import type { MtreeEntry } from '../../formats/mtree.ts'
import { createdEntry } from './created.ts'
import { opaqueMark, whiteoutName } from './whiteouts.ts'

type FileSource = Source & { type: 'file' }

/** An entry, and the file whose bytes it takes. A file's size is not known before it is opened. */
export interface Planned {
  entry: LayerEntry
  source?: FileSource
}

const gitAttributes = (path: string, mode: number): LayerAttributes => ({
  path,
  mode,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  xattrs: new Map(),
})

/**
 * `sources` are those below `prefix` (`overlays/part_2/`). A folder with something in it gets no entry unless the
 * mtree file names it: where the image has it, /tmp or a home say, it keeps its owner and mode, else it is made
 * 0755 root:root. In the order of a layer. Fails with E_INPUT.
 */
export function planEntries(
  sources: readonly Source[],
  prefix: string,
  mtree: readonly MtreeEntry[],
): Planned[] {
  const plan = new Map<string, Planned>()
  const removals: Planned[] = []
  for (const source of sources) {
    const path = source.path.slice(prefix.length)
    const removal = removalOf(source, path)
    if (removal) removals.push({ entry: removal })
    else plan.set(path, planned(source, path))
  }
  const folders = foldersOf([...plan.keys(), ...removals.map(({ entry }) => belowOf(entry))])
  for (const line of mtree) {
    if (line.path === '') continue
    refuseWhiteout(line)
    const known = plan.get(line.path)
    const folder = { entry: { ...gitAttributes(line.path, 0o755), type: 'directory' as const } }
    const base = known ?? (folders.has(line.path) ? folder : undefined)
    if (base) plan.set(line.path, { ...base, entry: described(base.entry, line) })
    else {
      const entry = createdEntry(line)
      if (entry) plan.set(line.path, { entry })
    }
  }
  return [...removals, ...plan.values()].sort((a, b) => compareEntries(a.entry, b.entry))
}

function planned(source: Source, path: string): Planned {
  switch (source.type) {
    case 'file':
      return { entry: { ...gitAttributes(path, source.mode), type: 'file', size: 0 }, source }
    case 'symlink':
      return { entry: { ...gitAttributes(path, 0o777), type: 'symlink', target: source.target } }
    case 'directory':
      return { entry: { ...gitAttributes(path, source.mode), type: 'directory' } }
  }
}

function removalOf(source: Source, path: string): LayerEntry | undefined {
  const slash = path.lastIndexOf('/')
  const parent = path.slice(0, Math.max(slash, 0))
  const base = path.slice(slash + 1)
  const name = whiteoutName(base, source)
  if (name === undefined) return undefined
  if (name === opaqueMark) return { type: 'opaque', path: parent }
  return { type: 'whiteout', path: parent === '' ? name : `${parent}/${name}` }
}

/** A path in the folder that has to be there for an entry. */
const belowOf = (entry: LayerEntry): string => (entry.type === 'opaque' ? `${entry.path}/x` : entry.path)

function foldersOf(paths: readonly string[]): Set<string> {
  const folders = new Set<string>()
  for (const path of paths) {
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      folders.add(path.slice(0, slash))
    }
  }
  return folders
}

function described(entry: LayerEntry, line: MtreeEntry): LayerEntry {
  const wrong = (message: string, hint: string): FleetsieError =>
    new FleetsieError('E_INPUT', `line ${line.line}: ${JSON.stringify(line.path)} ${message}`, { hint })
  if (line.type !== undefined && line.type !== entry.type) {
    throw wrong(`is a ${entry.type} in the overlay, no ${line.type}`, 'change the line, or remove the file')
  }
  if (line.device) throw wrong(`is a ${entry.type}: it has no device numbers`, 'leave `device` out')
  if (line.link !== undefined && !(entry.type === 'symlink' && entry.target === line.link)) {
    const target = entry.type === 'symlink' ? `a link to ${JSON.stringify(entry.target)}` : `a ${entry.type}`
    throw wrong(`is ${target} in the overlay`, 'leave `link` out')
  }
  return { ...entry, ...attributesIn(line) } as LayerEntry
}

/** Only what the line says. */
function attributesIn(line: MtreeEntry): Partial<LayerAttributes> {
  const { mode, uid, gid, mtime, xattrs } = line
  return {
    ...(mode !== undefined && { mode }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(mtime && { mtime }),
    xattrs,
  }
}

function refuseWhiteout(line: MtreeEntry): void {
  if (!line.path.slice(line.path.lastIndexOf('/') + 1).startsWith('.wh.')) return
  throw new FleetsieError('E_INPUT', `line ${line.line}: ${JSON.stringify(line.path)} is a whiteout`, {
    hint: 'a whiteout has no owner or mode: remove the line',
  })
}
