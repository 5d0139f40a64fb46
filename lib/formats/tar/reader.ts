/** Reads tar archives of every current kind: ustar, pax, GNU and v7. What a member may be called is not judged here. */
import { FleetsieError } from '../../errors.ts'
import type { Extent } from '../layer/entry.ts'
import { blockSize, decodeHeader, isZero, type TarHeader } from './header.ts'
import { tarLimits } from './limits.ts'
import { decodePax, decodePaxInteger, type PaxRecords } from './pax.ts'
import { ByteSource, truncated } from './source.ts'
import { normaliseExtents, readOldSparseMap, readSparseMap } from './sparse.ts'

export interface TarMember {
  /** How messages about it begin: "at byte 1536". */
  where: string
  header: TarHeader
  /** Records of this member over those for all members. */
  pax: PaxRecords
  /** As in a header, but with every longer form resolved. */
  name: Buffer
  linkName: Buffer
  /** Of the file; a sparse one's data is less. */
  size: number
  extents?: Extent[]
  /** Where `content` begins in the archive, bytes. */
  contentAt: number
  content: AsyncIterable<Buffer>
}

interface Pending {
  pax?: PaxRecords
  name?: Buffer
  linkName?: Buffer
}

/**
 * Yields the members in their order; unread content is skipped. Fails with E_DAMAGED (with the byte's offset)
 * for damage and truncation, E_UNSUPPORTED for kinds that no layer can hold.
 */
export async function* readTar(
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<TarMember> {
  const source = new ByteSource(bytes)
  try {
    yield* members(source)
  } finally {
    await source.close()
  }
}

async function* members(source: ByteSource): AsyncGenerator<TarMember> {
  let global: PaxRecords = new Map()
  let pending: Pending = {}
  for (let count = 0; ; ) {
    const where = `at byte ${source.offset}`
    const block = await source.exactly(blockSize, 'a header')
    if (block === undefined) throw truncated('the list of members: its end mark is missing', source.offset)
    const header = decodeHeader(block, where)
    if (header === undefined) {
      if (Object.keys(pending).length > 0)
        throw new FleetsieError('E_DAMAGED', `${where}: a member is missing`)
      return await expectEnd(source)
    }
    if (++count > tarLimits.members) {
      throw new FleetsieError('E_INPUT', `${where}: the archive has more than ${tarLimits.members} members`)
    }
    if (header.type === 'g')
      global = new Map([...global, ...decodePax(await meta(source, header, where), where)])
    else if (header.type === 'x' || header.type === 'X')
      pending.pax = decodePax(await meta(source, header, where), where)
    else if (header.type === 'L') pending.name = untilZero(await meta(source, header, where))
    else if (header.type === 'K') pending.linkName = untilZero(await meta(source, header, where))
    else {
      yield* member(
        source,
        block,
        header,
        { ...pending, pax: new Map([...global, ...(pending.pax ?? [])]) },
        where,
      )
      pending = {}
    }
  }
}

/** The content of a member that describes the next one. */
async function meta(source: ByteSource, header: TarHeader, where: string): Promise<Buffer> {
  const { size } = header
  if (size < 0 || size > tarLimits.paxBytes) {
    throw new FleetsieError(
      'E_DAMAGED',
      `${where}: a header of ${size} bytes; ${tarLimits.paxBytes} is the limit`,
    )
  }
  const padded = size + padding(size)
  const bytes = padded === 0 ? Buffer.alloc(0) : await source.exactly(padded, 'an extended header')
  if (bytes === undefined) throw truncated('an extended header', source.offset)
  return Buffer.from(bytes.subarray(0, size))
}

async function* member(
  source: ByteSource,
  block: Buffer,
  header: TarHeader,
  { pax, name, linkName }: Pending & { pax: PaxRecords },
  where: string,
): AsyncGenerator<TarMember> {
  const sizeRecord = pax.get('size')
  const stored = sizeRecord?.length ? decodePaxInteger(sizeRecord, 'the size', where) : header.size
  if (stored < 0) throw new FleetsieError('E_DAMAGED', `${where}: a size below zero`)
  const sparse = await sparseMap(source, block, header, pax, stored, where)
  const left = sparse?.stored ?? stored
  const content = new Content(source, left, where)
  const file: TarMember = {
    where,
    header,
    pax,
    name: override(pax, 'GNU.sparse.name') ?? override(pax, 'path') ?? name ?? header.name,
    linkName: override(pax, 'linkpath') ?? linkName ?? header.linkName,
    size: sparse?.size ?? stored,
    contentAt: source.offset,
    content,
  }
  if (sparse?.extents) file.extents = sparse.extents
  yield file
  await content.skip()
  await skipPadding(source, left, where)
}

/** An empty record takes back one for all members. */
function override(pax: PaxRecords, key: string): Buffer | undefined {
  const value = pax.get(key)
  return value?.length ? value : undefined
}

async function sparseMap(
  source: ByteSource,
  block: Buffer,
  header: TarHeader,
  pax: PaxRecords,
  stored: number,
  where: string,
): Promise<{ extents: Extent[] | undefined; size: number; stored: number } | undefined> {
  const damaged = (message: string): FleetsieError => new FleetsieError('E_DAMAGED', `${where}: ${message}`)
  const next = async (): Promise<Buffer> => {
    const bytes = await source.exactly(blockSize, 'the map of a sparse file')
    if (bytes === undefined) throw truncated('the map of a sparse file', source.offset)
    return bytes
  }
  let found: { extents: Extent[]; size: number; stored: number }
  if (header.type === 'S') {
    found = { ...(await readOldSparseMap(block, next, where)), stored }
  } else if ([...pax.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
    const version = `${pax.get('GNU.sparse.major') ?? 0}.${pax.get('GNU.sparse.minor') ?? 0}`
    if (version !== '1.0' || !pax.has('GNU.sparse.realsize')) {
      throw new FleetsieError('E_UNSUPPORTED', `${where}: a sparse file in format ${version}`, {
        hint: 'make the archive with `tar --format=posix --sparse-version=1.0`, or without -S',
      })
    }
    const size = decodePaxInteger(pax.get('GNU.sparse.realsize')!, 'the real size', where)
    const map = await readSparseMap(next, where)
    found = { extents: map.extents, size, stored: stored - map.bytes }
  } else return undefined
  const total = found.extents.reduce((sum, { length }) => sum + length, 0)
  if (found.stored !== total)
    throw damaged(`a sparse file stores ${found.stored} bytes, its map says ${total}`)
  return { ...found, extents: normaliseExtents(found.extents, found.size, damaged) }
}

/** A member's bytes, once; what is not read is passed over. */
class Content implements AsyncIterable<Buffer> {
  readonly #source: ByteSource
  readonly #where: string
  #left: number

  constructor(source: ByteSource, size: number, where: string) {
    this.#source = source
    this.#left = size
    this.#where = where
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    while (this.#left > 0) {
      const piece = await this.#source.some(this.#left)
      if (piece === undefined)
        throw truncated(`the content of the member ${this.#where}`, this.#source.offset)
      this.#left -= piece.length
      yield piece
    }
  }

  async skip(): Promise<void> {
    for await (const _ of this);
  }
}

const padding = (size: number): number => (blockSize - (size % blockSize)) % blockSize

async function skipPadding(source: ByteSource, size: number, where: string): Promise<void> {
  const length = padding(size)
  if (length > 0 && (await source.exactly(length, 'padding')) === undefined) {
    throw truncated(`the padding of the member ${where}`, source.offset)
  }
}

function untilZero(bytes: Buffer): Buffer {
  const zero = bytes.indexOf(0)
  return zero < 0 ? bytes : bytes.subarray(0, zero)
}

/** After two blocks of zeros only zeros may follow, which fill the last record. */
async function expectEnd(source: ByteSource): Promise<void> {
  if ((await source.exactly(blockSize, 'the end mark')) === undefined)
    throw truncated('the end mark', source.offset)
  for (;;) {
    const start = source.offset
    const piece = await source.some(1 << 16)
    if (piece === undefined) return
    if (isZero(piece)) continue
    const at = start + piece.findIndex((byte) => byte !== 0)
    throw new FleetsieError('E_DAMAGED', `at byte ${at}: something follows the archive's end mark`)
  }
}
