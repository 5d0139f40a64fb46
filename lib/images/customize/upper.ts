/** What a run left in an overlay's upper folder, read from the tar file that was made of it. */
import { createReadStream } from 'node:fs'
import { FleetsieError } from '../../errors.ts'
import { readXattrs } from '../../formats/layer/xattrs.ts'
import type { LayerAttributes } from '../../formats/layer.ts'
import { decodePaxTime } from '../../formats/tar/pax.ts'
import { readTar, type TarMember } from '../../formats/tar/reader.ts'
import { utf8 } from '../../formats/tar/text.ts'

export type UpperNode = LayerAttributes &
  (
    | { type: 'file'; size: number; contentAt: number; inode: string }
    | { type: 'directory'; opaque: boolean }
    | { type: 'symlink'; target: string }
    | { type: 'character' | 'block'; major: number; minor: number }
    | { type: 'fifo' }
    | { type: 'whiteout' }
  )

/** By path, the top folder left out. Sockets are not in it. Fails with E_INPUT for names that no layer can hold. */
export async function readUpper(file: string): Promise<Map<string, UpperNode>> {
  const nodes = new Map<string, UpperNode>()
  for await (const member of readTar(createReadStream(file, { highWaterMark: 1024 * 1024 }))) {
    const path = pathOf(member, member.name, 'the name')
    if (path === '') continue
    if (path.slice(path.lastIndexOf('/') + 1).startsWith('.wh.')) {
      throw new FleetsieError('E_INPUT', `/${path}: names that begin with .wh. are kept for whiteouts`, {
        hint: 'let the script use another name',
      })
    }
    nodes.set(path, toNode(member, path, nodes))
  }
  return nodes
}

function toNode(member: TarMember, path: string, nodes: Map<string, UpperNode>): UpperNode {
  const { header, where } = member
  const all = readXattrs(member.pax, where)
  const mtime = member.pax.get('mtime')
  const attributes: LayerAttributes = {
    path,
    mode: header.mode & 0o7777,
    uid: idOf(member, 'uid'),
    gid: idOf(member, 'gid'),
    mtime: mtime?.length ? decodePaxTime(mtime, where) : { seconds: header.mtime, nanoseconds: 0 },
    // The overlay's own notes.
    xattrs: new Map([...all].filter(([name]) => !/^(?:user|trusted)\.overlay\./.test(name))),
  }
  switch (header.type) {
    case '0':
    case '7':
      return { ...attributes, type: 'file', size: member.size, contentAt: member.contentAt, inode: path }
    case '1': {
      const target = nodes.get(pathOf(member, member.linkName, 'the link target'))
      if (!target) break
      return { ...target, path }
    }
    case '2':
      return { ...attributes, type: 'symlink', target: utf8(member.linkName, 'the link target', `/${path}`) }
    case '3':
      if (header.major === 0 && header.minor === 0) return { ...attributes, type: 'whiteout' }
      return { ...attributes, type: 'character', major: header.major, minor: header.minor }
    case '4':
      return { ...attributes, type: 'block', major: header.major, minor: header.minor }
    case '5':
      return { ...attributes, type: 'directory', opaque: isOpaque(all) }
    case '6':
      return { ...attributes, type: 'fifo' }
  }
  throw new FleetsieError('E_BUG', `${where}: tar wrote a member of type ${header.type} for /${path}`)
}

const isOpaque = (xattrs: Map<string, Buffer>): boolean =>
  ['user', 'trusted'].some((kind) => xattrs.get(`${kind}.overlay.opaque`)?.toString('latin1') === 'y')

function pathOf(member: TarMember, bytes: Buffer, what: string): string {
  const text = utf8(bytes, what, member.where)
  return text
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')
}

function idOf(member: TarMember, key: 'uid' | 'gid'): number {
  const record = member.pax.get(key)
  return record?.length ? Number(record.toString('latin1')) : member.header[key]
}
