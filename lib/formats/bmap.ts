/**
 * Block maps, version 2.0: which blocks of an image a flasher must write, with a sha256 for each range.
 * The form is that of bmaptool 3.6, byte for byte but for the comment that repeats the format's manual.
 */
import { createHash } from 'node:crypto'
import { FleetsieError } from '../errors.ts'

/** Bytes. The last block of an image may be shorter. */
export const bmapBlockSize = 4096
/** Blocks in the largest range that we write, 16 MiB: what bmaptool reads before it can tell that a range is damaged. */
const maxRangeBlocks = (16 * 1024 * 1024) / bmapBlockSize

/** Blocks `first` to `last`, both included. */
export interface BlockRange {
  first: number
  last: number
}

/** A range with the sha256 of its bytes, lower-case hex; the image's end cuts the last block. */
export interface HashedRange extends BlockRange {
  sha256: string
}

/**
 * Cuts ranges into those that a block map here has: ascending, joined where they touch, cut at multiples of 16 MiB of
 * the image, so that a change moves no boundary elsewhere.
 */
export function cutRanges(ranges: readonly BlockRange[]): BlockRange[] {
  const joined: BlockRange[] = []
  for (const { first, last } of [...ranges].sort((a, b) => a.first - b.first)) {
    const previous = joined.at(-1)
    if (previous && first <= previous.last + 1) previous.last = Math.max(previous.last, last)
    else joined.push({ first, last })
  }
  const cut: BlockRange[] = []
  for (const { first, last } of joined) {
    for (let start = first; start <= last; ) {
      const end = Math.min(last, start - (start % maxRangeBlocks) + maxRangeBlocks - 1)
      cut.push({ first: start, last: end })
      start = end + 1
    }
  }
  return cut
}

/** The .bmap of an image of `imageSize` bytes. `ranges`: ascending, at most 16 MiB each. Fails with E_INPUT. */
export function writeBmap(imageSize: number, ranges: readonly HashedRange[]): Buffer {
  const blocks = Math.ceil(imageSize / bmapBlockSize)
  if (!Number.isSafeInteger(imageSize) || blocks < 1) {
    throw new FleetsieError('E_INPUT', `a block map needs an image of at least one byte, not ${imageSize}`)
  }
  let next = 0
  let mapped = 0
  const lines = ranges.map(({ first, last, sha256 }) => {
    const size = last - first + 1
    if (!(first >= next && size >= 1 && size <= maxRangeBlocks && last < blocks)) {
      throw new FleetsieError(
        'E_INPUT',
        `blocks ${first} to ${last} cannot follow in a block map of ${blocks} blocks`,
      )
    }
    if (!/^[0-9a-f]{64}$/.test(sha256))
      throw new FleetsieError('E_INPUT', `blocks ${first} to ${last}: no sha256`)
    next = last + 1
    mapped += size
    return `        <Range chksum="${sha256}"> ${first === last ? first : `${first}-${last}`} </Range>\n`
  })
  const percent = ((mapped * 100) / blocks).toFixed(1)
  const zeros = '0'.repeat(64)
  const head = `<?xml version="1.0" ?>
<!-- Block map of a disk image: the blocks that must be written; all others hold nothing that is used.
     Flash with: bmaptool copy IMAGE DEVICE -->

<bmap version="2.0">
    <!-- Image size in bytes: ${humanSize(imageSize)} -->
    <ImageSize> ${imageSize} </ImageSize>

    <!-- Size of a block in bytes -->
    <BlockSize> ${bmapBlockSize} </BlockSize>

    <!-- Count of blocks in the image file -->
    <BlocksCount> ${blocks} </BlocksCount>

    <!-- Count of mapped blocks: ${humanSize(mapped * bmapBlockSize)} or ${percent}% -->
    <MappedBlocksCount> ${mapped} </MappedBlocksCount>

    <!-- Type of checksum used in this file -->
    <ChecksumType> sha256 </ChecksumType>

    <!-- The checksum of this bmap file. When it is calculated, the value of
         the checksum has be zero (all ASCII "0" symbols).  -->
    <BmapFileChecksum> `
  const tail = ` </BmapFileChecksum>

    <!-- The block map which consists of elements which may either be a
         range of blocks or a single block. The 'chksum' attribute
         (if present) is the checksum of this blocks range. -->
    <BlockMap>
${lines.join('')}    </BlockMap>
</bmap>
`
  const checksum = createHash('sha256').update(head).update(zeros).update(tail).digest('hex')
  return Buffer.from(head + checksum + tail)
}

function humanSize(size: number): string {
  if (size < 512) return size === 1 ? '1 byte' : `${size} bytes`
  let value = size / 1024
  for (const unit of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < 1024) return `${value.toFixed(1)} ${unit}`
    value /= 1024
  }
  return `${value.toFixed(1)} PiB`
}
