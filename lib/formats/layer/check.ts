/** What a layer's entry may hold. Fails with E_INPUT, with the entry's path in the message. */
import { FleetsieError } from '../../errors.ts'
import { tarLimits } from '../tar/limits.ts'
import type { LayerEntry } from './entry.ts'

export const whiteoutPrefix = '.wh.'
/** Names that begin so belong to the union file system; only the opaque mark has a meaning here. */
export const reservedPrefix = '.wh..wh.'
export const opaqueName = '.wh..wh..opq'

const fail = (path: string, message: string, hint?: string): FleetsieError =>
  new FleetsieError('E_INPUT', `${JSON.stringify(path)}: ${message}`, hint === undefined ? {} : { hint })

/** Checks a path that does not come from a layer's top folder, name by name. */
function checkPath(path: string): void {
  if (path === '') throw fail(path, 'an entry without a name')
  if (path.includes('\0')) throw fail(path, 'a name with a NUL byte')
  if (Buffer.byteLength(path) > tarLimits.pathBytes) {
    throw fail(path, `the path is longer than ${tarLimits.pathBytes} bytes`)
  }
  for (const name of path.split('/')) checkName(path, name)
}

function checkName(path: string, name: string): void {
  if (name === '' || name === '.' || name === '..') {
    throw fail(path, 'a layer takes relative paths without `.`, `..` or empty parts')
  }
  if (Buffer.byteLength(name) > tarLimits.nameBytes) {
    throw fail(path, `a name longer than ${tarLimits.nameBytes} bytes`, 'shorten the name')
  }
  // Half a surrogate pair has no UTF-8 form: it would be written as another name.
  if (/\p{Surrogate}/u.test(name)) throw fail(path, 'a name that is not UTF-8')
  if (name.startsWith(whiteoutPrefix)) {
    throw fail(path, `names that begin with ${whiteoutPrefix} are kept for whiteouts`, 'rename it')
  }
}

/** Checks everything that an entry says. */
export function checkEntry(entry: LayerEntry): void {
  const { path } = entry
  if (entry.type !== 'opaque' || path !== '') checkPath(path)
  if (entry.type === 'whiteout' || entry.type === 'opaque') return
  integer(path, 'the mode', entry.mode, 0, 0o7777)
  integer(path, 'the uid', entry.uid, 0, tarLimits.id)
  integer(path, 'the gid', entry.gid, 0, tarLimits.id)
  integer(path, 'the time', entry.mtime.seconds, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
  integer(path, 'the time', entry.mtime.nanoseconds, 0, 999_999_999)
  for (const [name, value] of entry.xattrs) checkXattr(path, name, value)
  if (entry.type === 'file') integer(path, 'the size', entry.size, 0, Number.MAX_SAFE_INTEGER)
  else if (entry.type === 'symlink') checkTarget(path, entry.target)
  else if (entry.type === 'hardlink') checkPath(entry.target)
  else if (entry.type === 'character' || entry.type === 'block') {
    integer(path, 'the major device number', entry.major, 0, tarLimits.major)
    integer(path, 'the minor device number', entry.minor, 0, tarLimits.minor)
  }
}

function integer(path: string, what: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return
  throw fail(path, `${what} is ${value}; it goes from ${least} to ${most}`)
}

function checkTarget(path: string, target: string): void {
  if (target === '') throw fail(path, 'a symbolic link without a target')
  if (target.includes('\0')) throw fail(path, 'a link target with a NUL byte')
  if (/\p{Surrogate}/u.test(target)) throw fail(path, 'a link target that is not UTF-8')
  if (Buffer.byteLength(target) <= tarLimits.pathBytes) return
  throw fail(path, `the link target is longer than ${tarLimits.pathBytes} bytes`)
}

function checkXattr(path: string, name: string, value: Buffer): void {
  const bytes = Buffer.byteLength(name)
  if (bytes === 0 || bytes > tarLimits.xattrNameBytes || /[\0\p{Surrogate}]/u.test(name)) {
    throw fail(path, `${JSON.stringify(name)} cannot be the name of an extended attribute`)
  }
  if (value.length <= tarLimits.xattrBytes) return
  throw fail(
    path,
    `the extended attribute ${name} has ${value.length} bytes; ${tarLimits.xattrBytes} is the limit`,
  )
}
