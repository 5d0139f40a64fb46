/** Reads block maps, ours and those of bmaptool: version 2.0, and 1.4, which is the same under an older number. */
import { createHash } from 'node:crypto'
import { FleetsieError } from '../errors.ts'
import type { BlockRange } from './bmap.ts'

export interface Bmap {
  /** Bytes. */
  imageSize: number
  blockSize: number
  blocks: number
  mappedBlocks: number
  /** Hash of the ranges, by the name that node:crypto has for it. */
  checksumType: string
  /** Ascending; `checksum` is lower-case hex, null where the file gives none. */
  ranges: (BlockRange & { checksum: string | null })[]
}

/** Hex digits of each hash that a block map may name. */
const hashes = new Map([
  ['sha256', 64],
  ['sha512', 128],
  ['sha384', 96],
  ['sha224', 56],
  ['sha1', 40],
  ['md5', 32],
])
/** Bytes. Half a million ranges, more than a bmap of a fragmented 1 TiB image has. */
const maxBmapSize = 64 * 1024 * 1024

/** Parses and checks a .bmap with its own checksum. Fails with E_DAMAGED at a byte, or E_UNSUPPORTED for its version. */
export function parseBmap(bytes: Buffer): Bmap {
  if (bytes.length > maxBmapSize) {
    throw new FleetsieError(
      'E_DAMAGED',
      `a block map of ${bytes.length} bytes; at most ${maxBmapSize} are read`,
    )
  }
  // One character for each byte, so that positions in the text are positions in the file.
  const text = withoutComments(bytes.toString('latin1'))
  checkVersion(text)
  const imageSize = number(text, 'ImageSize', 1)
  const blockSize = number(text, 'BlockSize', 512)
  const blocks = number(text, 'BlocksCount', 1)
  const mappedBlocks = number(text, 'MappedBlocksCount', 0)
  if (blocks !== Math.ceil(imageSize / blockSize)) {
    damaged(find(text, 'BlocksCount').at, `${imageSize} bytes are not ${blocks} blocks of ${blockSize}`)
  }
  const type = find(text, 'ChecksumType')
  const digits = hashes.get(type.value)
  if (digits === undefined) damaged(type.at, `unknown checksum type '${type.value.slice(0, 20)}'`)
  checkFile(bytes, find(text, 'BmapFileChecksum'), type.value, digits)
  const ranges = readRanges(text, blocks, digits)
  const counted = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0)
  if (counted !== mappedBlocks) {
    damaged(
      find(text, 'MappedBlocksCount').at,
      `${mappedBlocks} mapped blocks are announced, ${counted} are listed`,
    )
  }
  return { imageSize, blockSize, blocks, mappedBlocks, checksumType: type.value, ranges }
}

function checkVersion(text: string): void {
  const root = /<bmap\s+version\s*=\s*(["'])([^"'<>]{1,20})\1\s*>/.exec(text)
  if (!root) damaged(0, 'no <bmap version="…"> element')
  const version = root[2]!
  if (version !== '2.0' && version !== '1.4') {
    throw new FleetsieError(
      'E_UNSUPPORTED',
      `block map version '${version}' at byte ${root.index}; 2.0 is read`,
    )
  }
}

function readRanges(text: string, blocks: number, digits: number): Bmap['ranges'] {
  const open = text.indexOf('<BlockMap>')
  const close = text.indexOf('</BlockMap>', open)
  if (open < 0 || close < 0) damaged(open < 0 ? text.length : open, 'no complete <BlockMap> element')
  const ranges: Bmap['ranges'] = []
  const pattern =
    /<Range(?:\s+chksum\s*=\s*["']([0-9a-f]+)["'])?\s*>\s*(\d{1,15})(?:\s*-\s*(\d{1,15}))?\s*<\/Range>|\S/gy
  const gap = /\s*/y
  let at = open + '<BlockMap>'.length
  for (;;) {
    gap.lastIndex = at
    at += gap.exec(text)![0].length
    if (at >= close) return ranges
    pattern.lastIndex = at
    const [whole, checksum, from, to] = pattern.exec(text)!
    if (from === undefined) damaged(at, 'not a <Range> element')
    const range = { first: Number(from), last: Number(to ?? from), checksum: checksum ?? null }
    if (range.last < range.first || range.last >= blocks || range.first <= (ranges.at(-1)?.last ?? -1)) {
      damaged(at, `blocks ${range.first} to ${range.last} are out of order or past the end`)
    }
    if (checksum !== undefined && checksum.length !== digits)
      damaged(at, `a checksum of ${checksum.length} digits`)
    ranges.push(range)
    at += whole.length
  }
}

/** The file's own checksum is that of the file with zeros in its place. */
function checkFile(bytes: Buffer, stored: { value: string; at: number }, hash: string, digits: number): void {
  if (!/^[0-9a-f]+$/.test(stored.value) || stored.value.length !== digits) {
    damaged(stored.at, `no ${hash} in <BmapFileChecksum>`)
  }
  const computed = createHash(hash)
    .update(bytes.subarray(0, stored.at))
    .update('0'.repeat(digits))
    .update(bytes.subarray(stored.at + digits))
    .digest('hex')
  if (computed !== stored.value)
    damaged(stored.at, `the file's checksum is ${computed}, it says ${stored.value}`)
}

/** The text of the one element `name`, trimmed, and where it begins. */
function find(text: string, name: string): { value: string; at: number } {
  const open = text.indexOf(`<${name}>`)
  const start = open + name.length + 2
  const close = text.indexOf(`</${name}>`, start)
  if (open < 0 || close < 0) damaged(Math.max(open, 0), `no <${name}> element`)
  const raw = text.slice(start, close)
  return { value: raw.trim(), at: start + raw.length - raw.trimStart().length }
}

function number(text: string, name: string, least: number): number {
  const { value, at } = find(text, name)
  const parsed = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN
  if (!(parsed >= least && Number.isSafeInteger(parsed))) {
    damaged(at, `<${name}> holds '${value.slice(0, 20)}', not a number of at least ${least}`)
  }
  return parsed
}

/** Comments become spaces: the manual in them holds names of elements. */
function withoutComments(text: string): string {
  const kept: string[] = []
  let at = 0
  for (;;) {
    const open = text.indexOf('<!--', at)
    if (open < 0) return kept.join('') + text.slice(at)
    const close = text.indexOf('-->', open + 4)
    if (close < 0) damaged(open, 'a comment without an end')
    kept.push(text.slice(at, open), ' '.repeat(close + 3 - open))
    at = close + 3
  }
}

function damaged(at: number, what: string): never {
  throw new FleetsieError('E_DAMAGED', `not a sound block map: ${what}, at byte ${at}`)
}
