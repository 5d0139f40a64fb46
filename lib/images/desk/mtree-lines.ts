/** Edits an mtree file line by line: what need not change stays as its author wrote it, comments and order included. */

import { compareText } from '../../formats/layer/order.ts'
import { escapeName } from '../../formats/mtree/escape.ts'
import { type MtreeEntry, parseMtree, writeMtree } from '../../formats/mtree.ts'
import type { Line } from './baseline.ts'

/** What a line has to say; nothing: there must be none. */
export interface LineEdit {
  /** Only what differs from what git alone would say. */
  said: Line
  /** All of it: where a `/set` would say otherwise. */
  full: Line
}

export interface EditedMtree {
  /** Undefined: nothing is left to be said. */
  bytes: Buffer | undefined
  /** Comments and forms are lost: the file's own way of saying things left no place for a line. */
  rewritten: boolean
}

const typeNames = {
  file: 'file',
  directory: 'dir',
  symlink: 'link',
  character: 'char',
  block: 'block',
  fifo: 'fifo',
} as const

/** Fails with E_INPUT for a file that cannot be read. */
export function editMtree(file: Buffer, edits: ReadonlyMap<string, LineEdit | undefined>): EditedMtree {
  for (const form of ['said', 'full'] as const) {
    const bytes = withEdits(file, edits, form)
    if (says(bytes, file, edits)) return { bytes: bytes.length > 0 ? bytes : undefined, rewritten: false }
  }
  return { bytes: rewritten(file, edits), rewritten: true }
}

function withEdits(
  file: Buffer,
  edits: ReadonlyMap<string, LineEdit | undefined>,
  form: 'said' | 'full',
): Buffer {
  const lines = file.toString('utf8').split(/(?<=\n)/)
  const entries = parseMtree(file).sort((a, b) => a.line - b.line)
  const known = new Map(entries.map((entry) => [entry.path, entry]))
  // Counted from 1; what is to stand in a line's place, or after it.
  const instead = new Map<number, string>()
  const after = new Map<number, string[]>()
  const places = entries.toSorted((a, b) => compareText(a.path, b.path))
  // A line with a full path moves the folder that short names count from.
  const short = entries.some(({ line }) => !lines[line - 1]!.trimStart().split(/[ \t]/)[0]!.includes('/'))
  for (const [path, edit] of [...edits].sort(([a], [b]) => compareText(a, b))) {
    const entry = known.get(path)
    if (entry) {
      const last = lastLine(lines, entry.line)
      for (let at = entry.line; at <= last; at++) instead.set(at, '')
      if (edit) instead.set(entry.line, changedLine(lines.slice(entry.line - 1, last).join(''), edit[form]))
      continue
    }
    if (!edit) continue
    const at = short ? lines.length : placeFor(path, places, lines)
    after.set(at, [...(after.get(at) ?? []), newLine(path, edit[form])])
  }
  let text = ''
  for (let at = 0; at <= lines.length; at++) {
    if (at > 0) text += instead.get(at) ?? lines[at - 1]
    const added = after.get(at)
    if (!added) continue
    if (text !== '' && !text.endsWith('\n')) text += '\n'
    text += added.join('')
  }
  return Buffer.from(text)
}

/** The line after which a new one comes: that of the greatest smaller path, else above all lines and their comment. */
function placeFor(path: string, sorted: readonly MtreeEntry[], lines: readonly string[]): number {
  const before = sorted.findLast((entry) => compareText(entry.path, path) < 0)
  if (before) return lastLine(lines, before.line)
  let at = Math.min(lines.length, ...sorted.map(({ line }) => line - 1))
  while (at > 0 && /^\s*#(?!mtree)/.test(lines[at - 1]!)) at--
  return at
}

/** Of a line that goes on in the next ones. */
function lastLine(lines: readonly string[], first: number): number {
  let at = first
  while (at < lines.length && /(?:^|[^\\])(?:\\\\)*\\\r?\n$/.test(lines[at - 1]!)) at++
  return at
}

const newLine = (path: string, line: Line): string =>
  `${[path === '' ? '.' : `./${escapeName(path)}`, ...keywords(line).values()].join(' ')}\n`

function keywords({ type, mode, uid, gid, device, link, xattrs }: Line): Map<string, string> {
  const words = new Map<string, string>()
  if (type !== undefined) words.set('type', `type=${typeNames[type]}`)
  if (uid !== undefined) words.set('uid', `uid=${uid}`)
  if (gid !== undefined) words.set('gid', `gid=${gid}`)
  if (mode !== undefined) words.set('mode', `mode=${mode.toString(8).padStart(4, '0')}`)
  if (device) words.set('device', `device=native,${device.major},${device.minor}`)
  if (link !== undefined) words.set('link', `link=${escapeName(link)}`)
  for (const [name, value] of xattrs)
    words.set(`xattr.${escapeName(name)}`, `xattr.${escapeName(name)}=${value}`)
  return words
}

/** Keeps each word that says the same in its own way, and those that a layer does not know. */
function changedLine(text: string, line: Line): string {
  const [, start, rest] = /^(\s*\S+)(.*)$/s.exec(text.replace(/\\\r?\n/g, ''))!
  const wanted = keywords(line)
  const name = start!.trim()
  const parts = rest!.split(/([ \t]+)/)
  let result = start!
  for (let i = 1; i < parts.length; i += 2) {
    const [space, word] = [parts[i]!, parts[i + 1]!.replace(/\r?\n$/, '')]
    if (word.startsWith('#')) {
      const comment =
        space +
        parts
          .slice(i + 1)
          .join('')
          .trimEnd()
      return `${[result, ...wanted.values()].join(' ')}${comment}\n`
    }
    const key = word.split('=', 1)[0]!
    const owner = key === 'uname' ? 'uid' : key === 'gname' ? 'gid' : undefined
    if (owner && wanted.has(owner)) continue
    if (!/^(?:type|mode|uid|gid|device|link|xattr\..*)$/.test(key)) {
      if (word !== '') result += space + word
      continue
    }
    const better = wanted.get(key)
    wanted.delete(key)
    if (better !== undefined) result += space + (sameWord(name, word, better) ? word : better)
  }
  return `${[result, ...wanted.values()].join(' ')}\n`
}

function sameWord(name: string, a: string, b: string): boolean {
  const meaning = (word: string): string => {
    const [{ line: _, xattrs, ...rest }] = parseMtree(Buffer.from(`${name} ${word}`)) as [MtreeEntry]
    return JSON.stringify([rest, [...xattrs].map(([key, value]) => [key, value.toString('base64')])])
  }
  return meaning(a) === meaning(b)
}

/** Whether the file says just what the edits want, and of all else what it has said before. */
function says(bytes: Buffer, before: Buffer, edits: ReadonlyMap<string, LineEdit | undefined>): boolean {
  let found: Map<string, MtreeEntry>
  try {
    found = new Map(parseMtree(bytes).map((entry) => [entry.path, entry]))
  } catch {
    // A `..` that has lost its folder.
    return false
  }
  const others = (entries: Iterable<MtreeEntry>): string =>
    JSON.stringify(
      [...entries]
        .filter(({ path }) => !edits.has(path))
        .map(({ line: _, xattrs, ...rest }) => [
          rest,
          [...xattrs].map(([name, value]) => [name, value.toString('base64')]),
        ]),
    )
  if (others(found.values()) !== others(parseMtree(before))) return false
  for (const [path, edit] of edits) {
    const entry = found.get(path)
    if (!entry || !edit) {
      if (entry || edit) return false
      continue
    }
    const { said, full } = edit
    for (const key of ['type', 'mode', 'uid', 'gid'] as const) {
      if (entry[key] === undefined ? said[key] !== undefined : entry[key] !== full[key]) return false
    }
    if (JSON.stringify(entry.device) !== JSON.stringify(full.device)) return false
    if (entry.link !== full.link && !(entry.link === undefined && said.link === undefined)) return false
    const xattrs = new Map(full.xattrs)
    if (entry.xattrs.size !== xattrs.size) return false
    for (const [name, value] of entry.xattrs) if (xattrs.get(name) !== value.toString('base64')) return false
  }
  return true
}

function rewritten(file: Buffer, edits: ReadonlyMap<string, LineEdit | undefined>): Buffer | undefined {
  const entries = new Map<string, Omit<MtreeEntry, 'line'>>(
    parseMtree(file).map((entry) => [entry.path, entry]),
  )
  for (const [path, edit] of edits) {
    if (!edit) entries.delete(path)
    else {
      const { xattrs, ...rest } = edit.said
      const values = xattrs.map(([name, value]) => [name, Buffer.from(value, 'base64')] as const)
      entries.set(path, {
        path,
        ...rest,
        xattrs: new Map(values),
        optional: entries.get(path)?.optional ?? false,
      })
    }
  }
  if (entries.size === 0) return undefined
  const sorted = [...entries.values()].sort((a, b) => compareText(a.path, b.path))
  return Buffer.from([...writeMtree(sorted)].join(''))
}
