/** Puts files, deletions and attributes into an upper folder, by GNU tar: it sets what Node has no call for. */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { FleetsieError } from '../../errors.ts'
import type { LayerTime } from '../../formats/layer/entry.ts'
import { compareEntries, type LayerEntry, type LayerInput, writeLayer } from '../../formats/layer.ts'
import type { LaidNode } from './laid-nodes.ts'
import type { Desk, UpperForm } from './types.ts'

const pieceSize = 1 << 20

/** There is nothing in their places. Fails with E_INPUT for a file of overlays/ that changes meanwhile. */
export async function writeUpper(
  desk: Desk,
  upper: string,
  form: UpperForm,
  nodes: readonly LaidNode[],
): Promise<void> {
  if (nodes.length === 0) return
  const root = process.geteuid?.() === 0
  const owner = root ? ['--same-owner', '--numeric-owner'] : ['--no-same-owner']
  const xattrs = ['--xattrs', `--xattrs-include=${root ? '*' : 'user.*'}`]
  const now = { seconds: Math.floor(Date.now() / 1000), nanoseconds: 0 }
  const all = nodes
    .map((node) => ({ node, entry: entryOf(node, form, now) }))
    .sort((a, b) => compareEntries(a.entry, b.entry))
  await desk.run('tar', ['--extract', '--file=-', '--preserve-permissions', ...owner, ...xattrs], {
    cwd: join(desk.folder, upper),
    input: (stdin) => pipeline(Readable.from(writeLayer(inputs(all))), stdin),
  })
}

function entryOf(node: LaidNode, { whiteouts, owners }: UpperForm, mtime: LayerTime): LayerEntry {
  const { path, kind, opaque } = node
  if (kind === 'whiteout') {
    if (whiteouts === 'file') return { type: 'whiteout', path }
    return { path, mode: 0, uid: 0, gid: 0, mtime, xattrs: new Map(), type: 'character', major: 0, minor: 0 }
  }
  const { mode, uid, gid, xattrs } = node.attributes!
  const base = { path, mode, uid: owners ? uid : 0, gid: owners ? gid : 0, mtime, xattrs: new Map(xattrs) }
  switch (kind) {
    case 'file':
      return { ...base, type: kind, size: 0 }
    case 'symlink':
      return { ...base, type: kind, target: node.content! }
    case 'character':
    case 'block':
      return { ...base, type: kind, ...node.device! }
    case 'fifo':
      return { ...base, type: kind }
    case 'directory':
      if (opaque) {
        const note = whiteouts === 'file' ? 'user.fuseoverlayfs.opaque' : 'trusted.overlay.opaque'
        base.xattrs.set(note, Buffer.from('y'))
      }
      return { ...base, type: kind }
  }
}

/** Opens files one after the other: there may be thousands. */
async function* inputs(all: readonly { node: LaidNode; entry: LayerEntry }[]): AsyncGenerator<LayerInput> {
  for (const { node, entry } of all) {
    if (entry.type !== 'file') {
      yield { entry }
      continue
    }
    const file = await open(node.from!, constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      const { size, mtimeMs } = await file.stat()
      const mtime = { seconds: Math.floor(mtimeMs / 1000), nanoseconds: 0 }
      yield { entry: { ...entry, size, mtime }, content: checked(file, node, size) }
    } finally {
      await file.close()
    }
  }
}

/** The bytes that were hashed: the baseline says so of what is laid out. */
async function* checked(file: FileHandle, { from, content }: LaidNode, size: number): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  for (let at = 0; at < size; ) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(pieceSize), 0, pieceSize, at)
    if (bytesRead === 0) break
    at += bytesRead
    const piece = buffer.subarray(0, bytesRead)
    hash.update(piece)
    yield piece
  }
  if (hash.digest('hex') === content) return
  throw new FleetsieError('E_INPUT', 'a file of the overlay was changed while it was laid out', {
    file: from!,
    hint: 'mount again',
  })
}
