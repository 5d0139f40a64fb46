/** Reads a layer from any current tar archive, and trusts nothing in it. */
import { FleetsieError } from '../../errors.ts'
import { tarLimits } from '../tar/limits.ts'
import { decodePaxTime } from '../tar/pax.ts'
import { readTar, type TarMember } from '../tar/reader.ts'
import { utf8 } from '../tar/text.ts'
import { checkEntry, opaqueName, reservedPrefix, whiteoutPrefix } from './check.ts'
import type { LayerAttributes, LayerEntry, LayerMember } from './entry.ts'
import { readXattrs } from './xattrs.ts'

/**
 * Yields what the archive changes, in its order. A "./" member, the top folder itself, is passed over: that
 * folder belongs to the image. Fails with E_DAMAGED (damage, a wrong whiteout), E_UNSAFE (a path that leads
 * outside), E_INPUT (a name that is not UTF-8, a limit) or E_UNSUPPORTED, each with the member's offset.
 */
export async function* readLayer(
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<LayerMember, void> {
  const seen = new Map<string, LayerEntry['type']>()
  for await (const member of readTar(bytes)) {
    const entry = toEntry(member)
    if (entry === undefined) continue
    try {
      checkEntry(entry)
    } catch (error) {
      if (error instanceof FleetsieError) error.message = `${member.where}: ${error.message}`
      throw error
    }
    const key = `${entry.type === 'whiteout' || entry.type === 'opaque' ? entry.type : ''}/${entry.path}`
    if (seen.has(key)) throw damaged(member, `${JSON.stringify(entry.path)} comes a second time`)
    if (entry.type === 'hardlink' && seen.get(`/${entry.target}`) !== 'file') {
      throw damaged(
        member,
        `a hard link to ${JSON.stringify(entry.target)}, which is no earlier file of this archive`,
      )
    }
    seen.set(key, entry.type)
    yield { entry, content: member.content }
  }
}

const damaged = (member: TarMember, message: string): FleetsieError =>
  new FleetsieError('E_DAMAGED', `${member.where}: ${message}`)

const kinds: Record<string, string> = {
  D: 'a folder of an incremental backup',
  M: 'the rest of a file from another volume',
  V: 'a volume label',
}

function toEntry(member: TarMember): LayerEntry | undefined {
  const { header, where } = member
  const folder = header.type === '5' || (header.type === '0' && member.name.at(-1) === 0x2f)
  const path = toPath(member, member.name, 'the name')
  const file = header.type === '0' || header.type === '7' || header.type === 'S'
  if ((folder || !file) && member.size !== 0) {
    throw damaged(member, `a member that is no file says that it has ${member.size} bytes`)
  }
  if (path === '') {
    if (folder) return undefined
    throw damaged(member, 'a member without a name')
  }
  const base = path.slice(path.lastIndexOf('/') + 1)
  if (base.startsWith(whiteoutPrefix)) return whiteout(member, path, base)
  const attributes: LayerAttributes = {
    path,
    mode: header.mode,
    uid: ownerOf(member, 'uid'),
    gid: ownerOf(member, 'gid'),
    mtime: timeOf(member),
    xattrs: readXattrs(member.pax, where),
  }
  if (folder) return { ...attributes, type: 'directory' }
  switch (header.type) {
    case '0':
    case '7':
    case 'S': {
      const { size, extents } = member
      return { ...attributes, type: 'file', size, ...(extents && { extents }) }
    }
    case '1':
      return { ...attributes, type: 'hardlink', target: toPath(member, member.linkName, 'the link target') }
    case '2':
      return { ...attributes, type: 'symlink', target: utf8(member.linkName, 'the link target', where) }
    case '3':
    case '4':
      return {
        ...attributes,
        type: header.type === '3' ? 'character' : 'block',
        major: header.major,
        minor: header.minor,
      }
    case '6':
      return { ...attributes, type: 'fifo' }
  }
  const kind = kinds[header.type] ?? `a member of type ${JSON.stringify(header.type)}`
  throw new FleetsieError('E_UNSUPPORTED', `${where}: ${kind}, which a layer cannot hold`)
}

/** Relative, without "." and empty parts, which are harmless. What leads outside is refused, not mended. */
function toPath(member: TarMember, bytes: Buffer, what: string): string {
  const text = utf8(bytes, what, member.where)
  const parts = text.split('/').filter((part) => part !== '' && part !== '.')
  if (!text.startsWith('/') && !parts.includes('..')) return parts.join('/')
  const fault = text.startsWith('/') ? 'is absolute' : 'leads upwards by `..`'
  throw new FleetsieError('E_UNSAFE', `${member.where}: ${what} ${JSON.stringify(text)} ${fault}`, {
    hint: 'make the archive with relative names, `tar -C FOLDER -cf FILE .`',
  })
}

function whiteout(member: TarMember, path: string, base: string): LayerEntry {
  const parent = path.slice(0, Math.max(path.length - base.length - 1, 0))
  if ((member.header.type !== '0' && member.header.type !== '7') || member.size !== 0) {
    throw damaged(member, `${JSON.stringify(path)}: a whiteout has to be an empty file`)
  }
  if (base === opaqueName) return { type: 'opaque', path: parent }
  const name = base.slice(whiteoutPrefix.length)
  if (name === '' || name === '.' || name === '..' || base.startsWith(reservedPrefix)) {
    throw damaged(member, `${JSON.stringify(path)}: a whiteout that names nothing which could be removed`)
  }
  return { type: 'whiteout', path: parent === '' ? name : `${parent}/${name}` }
}

function ownerOf(member: TarMember, key: 'uid' | 'gid'): number {
  const record = member.pax.get(key)
  if (!record?.length) return member.header[key]
  const text = record.toString('latin1')
  if (/^[0-9]{1,10}$/.test(text) && Number(text) <= tarLimits.id) return Number(text)
  throw damaged(member, `the ${key} ${JSON.stringify(text)} is out of range`)
}

function timeOf(member: TarMember): LayerAttributes['mtime'] {
  const record = member.pax.get('mtime')
  return record?.length
    ? decodePaxTime(record, member.where)
    : { seconds: member.header.mtime, nanoseconds: 0 }
}
