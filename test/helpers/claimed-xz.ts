/** .xz files whose index lies, with every CRC right. */
import { encodeIndex, type IndexRecord, parseIndex } from '../../lib/formats/xz/index-field.ts'
import {
  parseStreamFooter,
  streamFooter,
  streamFooterSize,
  streamHeader,
} from '../../lib/formats/xz/stream.ts'

/** A file that says that its one block decodes to so many bytes. */
export function claimed(uncompressed: number): Buffer {
  const index = encodeIndex([{ unpadded: 40, uncompressed }])
  return Buffer.concat([streamHeader(4), Buffer.alloc(40), index, streamFooter(4, index.length)])
}

/** A file of one stream with its index's records changed. */
export function withIndex(file: Buffer, change: (records: IndexRecord[]) => IndexRecord[]): Buffer {
  const { check, indexSize } = parseStreamFooter(file.subarray(-streamFooterSize), 0)
  const end = file.length - streamFooterSize - indexSize
  const index = encodeIndex(change(parseIndex(file.subarray(end, end + indexSize), end)))
  return Buffer.concat([file.subarray(0, end), index, streamFooter(check, index.length)])
}
