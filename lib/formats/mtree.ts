/**
 * mtree(5) files: owners, modes, times, attributes and devices of a folder, line by line. Read in the BSD form (folders
 * opened by a line and closed by `..`) and with full paths, as NetBSD's mtree, bsdtar and go-mtree write them.
 * Source: NetBSD mtree(8), libarchive-formats(5), go-mtree (`xattr.NAME=BASE64`); tried against mtree and bsdtar.
 */
import { FleetsieError } from '../errors.ts'
import { type MtreeEntry, mtreeTypes } from './mtree/entry.ts'
import { escapeName } from './mtree/escape.ts'
import { checkKeyword, type Said, textOf, toEntry } from './mtree/keywords.ts'
import { fail, tokenLines } from './mtree/lines.ts'

export type { MtreeEntry } from './mtree/entry.ts'

const maxEntries = 1_000_000

/**
 * Reads a file; entries come in its order, each path once. `*`, `?` and `[` are characters, no patterns.
 * Fails with E_INPUT, naming line and remedy.
 */
export function parseMtree(file: Buffer): MtreeEntry[] {
  const entries = new Map<string, MtreeEntry>()
  const defaults = new Map<string, Said>()
  let folder: string[] = []
  for (const { line, tokens } of tokenLines(file)) {
    const [name, ...words] = tokens as [string, ...string[]]
    if (name === '/set') for (const [key, said] of keywords(words, line)) defaults.set(key, said)
    else if (name === '/unset') unset(words, defaults, line)
    else if (name === '..') folder = upwards(folder, words, line)
    else {
      const { path, full } = pathOf(name, folder, line)
      const said = new Map([...defaults, ...keywords(words, line)])
      const entry = toEntry(path.join('/'), line, said)
      const before = entries.get(entry.path)
      if (before && entry.path !== '') {
        throw fail(
          line,
          `${JSON.stringify(entry.path)} stands in line ${before.line} already`,
          'join the two lines',
        )
      }
      entries.set(entry.path, entry)
      if (entries.size > maxEntries) throw fail(line, `more than ${maxEntries} entries`)
      // A full path moves the folder that short names count from, as mtree(8) says; libarchive does not.
      if (entry.type === 'directory') folder = path
      else if (full) folder = path.slice(0, -1)
    }
  }
  return [...entries.values()]
}

function keywords(words: readonly string[], line: number): Map<string, Said> {
  const said = new Map<string, Said>()
  for (const word of words) {
    const equals = word.indexOf('=')
    const key = equals < 0 ? word : word.slice(0, equals)
    const value = equals < 0 ? undefined : word.slice(equals + 1)
    checkKeyword(key, value, line)
    if (said.has(key)) throw fail(line, `\`${key}\` stands there twice`)
    said.set(key, { value: value ?? '', line })
  }
  return said
}

function unset(words: readonly string[], defaults: Map<string, Said>, line: number): void {
  for (const word of words) {
    if (word === 'all') defaults.clear()
    else {
      checkKeyword(word, '', line)
      defaults.delete(word)
    }
  }
}

function upwards(folder: readonly string[], words: readonly string[], line: number): string[] {
  if (words.length > 0) throw fail(line, '`..` stands alone on its line')
  if (folder.length === 0) throw fail(line, '`..` leads above the top folder', 'remove the line')
  return folder.slice(0, -1)
}

function pathOf(name: string, folder: readonly string[], line: number): { path: string[]; full: boolean } {
  if (name.startsWith('/')) throw fail(line, `${name} is no relative path`, `write \`.${name}\``)
  if (name === '.') return { path: [], full: true }
  const full = name.includes('/')
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  const path = parts.map((part) => textOf(part, line))
  for (const part of path) {
    if (part === '' || part === '.' || part === '..' || part.includes('/')) {
      throw fail(line, `${name} does not stay within the folder`, 'write paths without `..`')
    }
  }
  return { path: full ? path : [...folder, ...path], full }
}

/** Writes lines with full paths, first the top folder's; mtree(8) and bsdtar read them but for `xattr.`, which go-mtree reads. */
export function* writeMtree(entries: Iterable<Omit<MtreeEntry, 'line'>>): Generator<string> {
  yield '#mtree\n'
  let first = true
  for (const entry of entries) {
    if (first && entry.path !== '') yield '. type=dir\n'
    first = false
    yield `${[entry.path === '' ? '.' : `./${escapeName(entry.path)}`, ...words(entry)].join(' ')}\n`
  }
}

function* words(entry: Omit<MtreeEntry, 'line'>): Generator<string> {
  const type = Object.entries(mtreeTypes).find(([, type]) => type === entry.type)?.[0]
  if (type !== undefined) yield `type=${type}`
  if (entry.uid !== undefined) yield `uid=${entry.uid}`
  if (entry.gid !== undefined) yield `gid=${entry.gid}`
  if (entry.mode !== undefined) yield `mode=${entry.mode.toString(8).padStart(4, '0')}`
  if (entry.mtime) yield `time=${entry.mtime.seconds}.${String(entry.mtime.nanoseconds).padStart(9, '0')}`
  if (entry.device) yield `device=native,${entry.device.major},${entry.device.minor}`
  if (entry.link !== undefined) yield `link=${escapeName(entry.link)}`
  for (const [name, value] of entry.xattrs) yield xattr(name, value)
  if (entry.optional) yield 'optional'
}

function xattr(name: string, value: Buffer): string {
  if (name === '') throw new FleetsieError('E_INPUT', 'an extended attribute without a name')
  return `xattr.${escapeName(name)}=${value.toString('base64')}`
}
