/** Entries for layer tests, and layers as lists in memory. */
import type { LayerAttributes, LayerEntry, LayerInput } from '../../lib/formats/layer.ts'
import { compareEntries, readLayer, writeLayer } from '../../lib/formats/layer.ts'

export const attributes = (path: string, more: Partial<LayerAttributes> = {}): LayerAttributes => ({
  path,
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  xattrs: new Map(),
  ...more,
})

export interface Member {
  entry: LayerEntry
  data?: Buffer
}

/** A file whose stored bytes are `data`. */
export const file = (
  path: string,
  data: string | Buffer = '',
  more: Partial<LayerAttributes> = {},
): Member => {
  const bytes = Buffer.from(data)
  return { entry: { ...attributes(path, more), type: 'file', size: bytes.length }, data: bytes }
}

export const directory = (path: string, more: Partial<LayerAttributes> = {}): Member => ({
  entry: { ...attributes(path, { mode: 0o755, ...more }), type: 'directory' },
})

export const symlink = (path: string, target: string, more: Partial<LayerAttributes> = {}): Member => ({
  entry: { ...attributes(path, { mode: 0o777, ...more }), type: 'symlink', target },
})

/** Writes the members in a layer's order. */
export async function pack(members: readonly Member[]): Promise<Buffer> {
  async function* inputs(): AsyncGenerator<LayerInput> {
    for (const { entry, data } of [...members].sort((a, b) => compareEntries(a.entry, b.entry))) {
      yield data ? { entry, content: pieces(data) } : { entry }
    }
  }
  const parts: Buffer[] = []
  for await (const part of writeLayer(inputs())) parts.push(part)
  return Buffer.concat(parts)
}

/** `bytes` in pieces of a size that no block has. */
export async function* pieces(bytes: Buffer, size = 333): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** Reads everything, contents as well. */
export async function unpack(bytes: Buffer): Promise<Member[]> {
  const members: Member[] = []
  for await (const { entry, content } of readLayer(pieces(bytes))) {
    const parts: Buffer[] = []
    for await (const part of content) parts.push(part)
    members.push(entry.type === 'file' ? { entry, data: Buffer.concat(parts) } : { entry })
  }
  return members
}
