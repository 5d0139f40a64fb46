/** Writes a layer: ustar, with a pax header only where ustar cannot hold a value, so that equal input gives equal bytes. */
import { FleetsieError } from '../../errors.ts'
import { blockSize, encodeHeader } from '../tar/header.ts'
import { tarLimits } from '../tar/limits.ts'
import { octalLimit } from '../tar/numbers.ts'
import { encodePax, encodePaxTime } from '../tar/pax.ts'
import { encodeSparseMap, normaliseExtents } from '../tar/sparse.ts'
import { isAscii, truncateUtf8 } from '../tar/text.ts'
import { checkEntry, opaqueName, whiteoutPrefix } from './check.ts'
import type { Extent, LayerAttributes, LayerEntry, LayerInput } from './entry.ts'
import { compareEntries, compareText } from './order.ts'

const typeFlags = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
  whiteout: '0',
  opaque: '0',
} as const

const unsaid: Omit<LayerAttributes, 'path'> = {
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  xattrs: new Map(),
}

/**
 * Writes entries that come in the order of `compareEntries`. Fails with E_INPUT when an entry cannot be held
 * or a file's content is not as long as its size.
 */
export async function* writeLayer(
  entries: AsyncIterable<LayerInput> | Iterable<LayerInput>,
): AsyncGenerator<Buffer, void> {
  let previous: LayerEntry | undefined
  const files = new Set<string>()
  for await (const { entry, content } of entries) {
    checkEntry(entry)
    if (previous) checkOrder(previous, entry)
    if (entry.type === 'file') files.add(entry.path)
    if (entry.type === 'hardlink' && !files.has(entry.target)) {
      throw new FleetsieError(
        'E_INPUT',
        `${quote(entry.path)} is a hard link to ${quote(entry.target)}, which is no earlier file of this layer`,
      )
    }
    const extents = entry.type === 'file' ? extentsOf(entry.path, entry) : undefined
    const map = entry.type === 'file' && extents ? encodeSparseMap(extents, entry.size) : Buffer.alloc(0)
    const data = dataSize(entry, extents)
    yield* headers(entry, map.length + data, extents !== undefined)
    if (map.length > 0) yield map
    yield* body(entry.path, data, content)
    if (data % blockSize !== 0) yield Buffer.alloc(-data & (blockSize - 1))
    previous = entry
  }
  yield Buffer.alloc(2 * blockSize)
}

const quote = (path: string): string => JSON.stringify(path)

function checkOrder(previous: LayerEntry, entry: LayerEntry): void {
  if (compareEntries(previous, entry) >= 0) {
    // Whoever calls sorts: this is no fault of any input.
    throw new FleetsieError('E_BUG', `a layer got ${quote(entry.path)} after ${quote(previous.path)}`)
  }
  const leaf = previous.type !== 'directory' && previous.type !== 'whiteout' && previous.type !== 'opaque'
  if (leaf && entry.path.startsWith(`${previous.path}/`)) {
    throw new FleetsieError(
      'E_INPUT',
      `${quote(entry.path)} lies below ${quote(previous.path)}, which is no folder`,
    )
  }
}

function extentsOf(path: string, file: { size: number; extents?: Extent[] }): Extent[] | undefined {
  if (!file.extents) return undefined
  return normaliseExtents(
    file.extents,
    file.size,
    (message) => new FleetsieError('E_INPUT', `${quote(path)}: ${message}`),
  )
}

function dataSize(entry: LayerEntry, extents: Extent[] | undefined): number {
  if (entry.type !== 'file') return 0
  return extents ? extents.reduce((sum, { length }) => sum + length, 0) : entry.size
}

async function* body(
  path: string,
  size: number,
  content: AsyncIterable<Uint8Array> | undefined,
): AsyncGenerator<Buffer> {
  let got = 0
  for await (const piece of content ?? []) {
    got += piece.length
    if (got > size) break
    yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
  }
  if (got === size) return
  throw new FleetsieError(
    'E_INPUT',
    `${quote(path)}: ${size} bytes were to come, ${got > size ? 'more' : `only ${got}`} came`,
    { hint: 'something changed the file while it was read; build again' },
  )
}

function tarName(entry: LayerEntry): string {
  if (entry.type === 'directory') return `${entry.path}/`
  if (entry.type === 'opaque') return entry.path === '' ? opaqueName : `${entry.path}/${opaqueName}`
  if (entry.type !== 'whiteout') return entry.path
  const slash = entry.path.lastIndexOf('/') + 1
  return `${entry.path.slice(0, slash)}${whiteoutPrefix}${entry.path.slice(slash)}`
}

function* headers(entry: LayerEntry, size: number, sparse: boolean): Generator<Buffer> {
  const attributes =
    entry.type === 'whiteout' || entry.type === 'opaque' ? { ...unsaid, path: entry.path } : entry
  const records: [string, Buffer][] = []
  const name = sparse ? sparseName(entry.path) : tarName(entry)
  const fit = fitName(name)
  const link = entry.type === 'symlink' || entry.type === 'hardlink' ? entry.target : ''
  const linkFits = isAscii(link) && link.length <= 100
  const { seconds, nanoseconds } = attributes.mtime
  const uid = clamp(attributes.uid, octalLimit(8))
  const gid = clamp(attributes.gid, octalLimit(8))
  const stored = clamp(size, octalLimit(12))
  const mtime = clamp(seconds, octalLimit(12))
  if (!fit && !sparse) records.push(['path', Buffer.from(name)])
  if (!linkFits) records.push(['linkpath', Buffer.from(link)])
  if (uid !== attributes.uid) records.push(['uid', Buffer.from(String(attributes.uid))])
  if (gid !== attributes.gid) records.push(['gid', Buffer.from(String(attributes.gid))])
  if (stored !== size) records.push(['size', Buffer.from(String(size))])
  if (mtime !== seconds || nanoseconds !== 0) records.push(['mtime', encodePaxTime(attributes.mtime)])
  if (entry.type === 'file' && sparse) {
    records.push(['GNU.sparse.major', Buffer.from('1')], ['GNU.sparse.minor', Buffer.from('0')])
    records.push(
      ['GNU.sparse.name', Buffer.from(entry.path)],
      ['GNU.sparse.realsize', Buffer.from(String(entry.size))],
    )
  }
  for (const [key, value] of [...attributes.xattrs].sort(([a], [b]) => compareText(a, b))) {
    records.push([`SCHILY.xattr.${escapeKey(key)}`, value])
  }
  const device = entry.type === 'character' || entry.type === 'block' ? entry : { major: 0, minor: 0 }
  const common = { mode: attributes.mode, uid, gid, mtime, major: device.major, minor: device.minor }
  if (records.length > 0) yield paxHeader(entry.path, encodePax(records))
  yield encodeHeader({
    ...common,
    ...(fit ?? { name: truncateUtf8(name, 100) }),
    size: stored,
    type: typeFlags[entry.type],
    linkName: linkFits ? Buffer.from(link) : truncateUtf8(link, 100),
  })
}

/** GNU tar's own escape: a key ends at its first '='. */
const escapeKey = (key: string): string => key.replaceAll('%', '%25').replaceAll('=', '%3D')

const clamp = (value: number, limit: number): number => Math.min(Math.max(value, 0), limit)

function paxHeader(path: string, records: Buffer): Buffer {
  if (records.length > tarLimits.paxBytes) {
    throw new FleetsieError(
      'E_INPUT',
      `${quote(path)}: its names and extended attributes need ${records.length} bytes`,
      {
        hint: `at most ${tarLimits.paxBytes} bytes can be kept for one file`,
      },
    )
  }
  const base = path.slice(path.lastIndexOf('/') + 1)
  const header = encodeHeader({
    name: truncateUtf8(`PaxHeaders/${base}`, 100),
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: records.length,
    mtime: 0,
    type: 'x',
    linkName: Buffer.alloc(0),
    major: 0,
    minor: 0,
  })
  return Buffer.concat([header, records, Buffer.alloc(-records.length & (blockSize - 1))])
}

/** What a reader that knows no sparse files unpacks it as, so that it does not take the map for the file. */
function sparseName(path: string): string {
  const slash = path.lastIndexOf('/') + 1
  return `${path.slice(0, slash)}GNUSparseFile.0/${path.slice(slash)}`
}

/** Cuts a name at a '/' into ustar's prefix (155 bytes) and name (100). Nothing when that cannot be. */
function fitName(name: string): { name: Buffer; prefix?: Buffer } | undefined {
  if (!isAscii(name)) return undefined
  if (name.length <= 100) return { name: Buffer.from(name) }
  // The rest after the cut must not be empty, and a folder's own closing '/' stays with it.
  const cut = name.indexOf('/', name.length - 101)
  if (cut < 1 || cut > 155 || cut >= name.length - 1) return undefined
  return { name: Buffer.from(name.slice(cut + 1)), prefix: Buffer.from(name.slice(0, cut)) }
}
