/** What the values of an mtree file's keywords mean. Each function fails with E_INPUT, naming the line. */
import type { LayerTime } from '../layer/entry.ts'
import { tarLimits } from '../tar/limits.ts'
import { type MtreeEntry, mtreeTypes } from './entry.ts'
import { unescapeName } from './escape.ts'
import { fail } from './lines.ts'
import { parseMode } from './mode.ts'

/** A keyword's value, and the line that gave it: its own or a /set. */
export interface Said {
  value: string
  line: number
}

/** Facts about content, links and other systems: a layer says nothing about them. */
const ignored = new Set(
  (
    'size nlink cksum md5 md5digest rmd160 rmd160digest ripemd160digest sha1 sha1digest sha256 sha256digest ' +
    'sha384 sha384digest sha512 sha512digest tags inode resdevice ignore nochange uname gname optional'
  ).split(' '),
)
const meant = ['type', 'mode', 'uid', 'gid', 'time', 'link', 'device', 'flags']
const needsNoValue = new Set(['ignore', 'nochange', 'optional'])
const xattrPrefix = 'xattr.'

export function checkKeyword(keyword: string, value: string | undefined, line: number): void {
  const known = ignored.has(keyword) || meant.includes(keyword) || keyword.startsWith(xattrPrefix)
  if (!known) {
    throw fail(
      line,
      `there is no keyword \`${keyword}\``,
      `known are ${meant.join(', ')}, uname, gname and xattr.NAME`,
    )
  }
  if (keyword === xattrPrefix) throw fail(line, 'an extended attribute without a name')
  if (value === undefined && !needsNoValue.has(keyword)) throw fail(line, `\`${keyword}\` needs a value`)
}

/** Makes an entry of all keywords that hold for a path. */
export function toEntry(path: string, line: number, said: ReadonlyMap<string, Said>): MtreeEntry {
  const entry: MtreeEntry = { path, line, xattrs: new Map(), optional: said.has('optional') }
  for (const [keyword, { value, line: at }] of said) {
    if (keyword === 'type') entry.type = typeOf(value, at)
    else if (keyword === 'mode') entry.mode = parseMode(value, at)
    else if (keyword === 'uid' || keyword === 'gid') entry[keyword] = idOf(keyword, value, at)
    else if (keyword === 'time') entry.mtime = timeOf(value, at)
    else if (keyword === 'link') entry.link = textOf(value, at)
    else if (keyword === 'device') entry.device = deviceOf(value, at)
    else if (keyword === 'flags') checkFlags(value, at)
    else if (keyword.startsWith(xattrPrefix)) {
      entry.xattrs.set(textOf(keyword.slice(xattrPrefix.length), at), base64(keyword, value, at))
    }
  }
  if (rootOnly('uname', 'uid', said)) entry.uid = 0
  if (rootOnly('gname', 'gid', said)) entry.gid = 0
  return entry
}

/** The number wins: a name means nothing before the image's own user table is asked. */
function rootOnly(name: string, number: string, said: ReadonlyMap<string, Said>): boolean {
  const found = said.get(name)
  if (found === undefined || said.has(number)) return false
  if (found.value === 'root') return true
  const message = `\`${name}=${found.value}\`: only root has the same number in every image`
  throw fail(found.line, message, `write \`${number}=\``)
}

function typeOf(value: string, line: number): NonNullable<MtreeEntry['type']> {
  const type = Object.hasOwn(mtreeTypes, value) ? mtreeTypes[value] : undefined
  if (type !== undefined) return type
  if (value === 'socket')
    throw fail(line, 'a socket', 'leave it out: the program that listens on it makes it')
  throw fail(line, `there is no type \`${value}\``, `types are ${Object.keys(mtreeTypes).join(', ')}`)
}

function idOf(keyword: string, value: string, line: number): number {
  if (/^[0-9]{1,10}$/.test(value) && Number(value) <= tarLimits.id) return Number(value)
  throw fail(line, `\`${keyword}=${value}\` is no number from 0 to ${tarLimits.id}`)
}

/**
 * Seconds, a point, nanoseconds: both forward in time, so -1.500000000 is half a second before 1970. What follows the
 * point is a number, not a fraction: mtree and bsdtar write 3777809 ns as `.3777809`, and read `.5` as 5 ns.
 */
function timeOf(value: string, line: number): LayerTime {
  const match = /^(-?[0-9]{1,15})(?:\.([0-9]{1,9}))?$/.exec(value)
  if (match) return { seconds: Number(match[1]) + 0, nanoseconds: Number(match[2] ?? 0) }
  throw fail(line, `\`time=${value}\` is not seconds.nanoseconds`, 'write nine digits after the point')
}

/** Linux packs a device's numbers as gnu_dev_makedev(3) does. */
function deviceOf(value: string, line: number): { major: number; minor: number } {
  const parts = /^(?:native|linux),(0x[0-9a-fA-F]+|[0-9]+),(0x[0-9a-fA-F]+|[0-9]+)$/.exec(value)
  let device: { major: number; minor: number } | undefined
  if (parts) device = { major: Number(parts[1]), minor: Number(parts[2]) }
  else if (/^(?:0x[0-9a-fA-F]{1,8}|[0-9]{1,10})$/.test(value)) {
    const packed = Number(value)
    device = { major: (packed >>> 8) & 0xfff, minor: ((packed >>> 12) & 0xfff00) | (packed & 0xff) }
  }
  if (device && device.major <= tarLimits.major && device.minor <= tarLimits.minor) return device
  throw fail(line, `\`device=${value}\` is no device of Linux`, 'write `device=native,MAJOR,MINOR`')
}

function checkFlags(value: string, line: number): void {
  if (value === 'none' || value === '') return
  throw fail(line, `\`flags=${value}\`: a layer holds no file flags`, 'leave it out')
}

export function textOf(token: string, line: number): string {
  const bytes = unescapeName(token)
  if (bytes === undefined) throw fail(line, `an unknown escape in ${token}`, 'write a backslash as `\\134`')
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw fail(line, `${token} is not UTF-8`, 'rename the file')
  }
  if (text.includes('\0')) throw fail(line, `a NUL byte in ${token}`)
  return text
}

/** go-mtree pads, libarchive does not. */
function base64(keyword: string, value: string, line: number): Buffer {
  const bytes = Buffer.from(value, 'base64')
  const unpadded = (text: string): string => text.replace(/=+$/, '')
  // getfattr's own form, `0s` in front, would decode too.
  const whole = !value.endsWith('=') || value.length % 4 === 0
  if (whole && unpadded(bytes.toString('base64')) === unpadded(value)) return bytes
  throw fail(line, `the value of \`${keyword}\` is not base64`, 'make it with `base64 -w0`')
}
