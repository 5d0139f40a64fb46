/** GUIDs as GPT stores them: the first three fields little-endian. */

/** Sixteen bytes at `at` as text in lower case, as blkid prints a PARTUUID. */
export function readGuid(bytes: Buffer, at: number): string {
  const head = [
    bytes.readUInt32LE(at).toString(16).padStart(8, '0'),
    bytes
      .readUInt16LE(at + 4)
      .toString(16)
      .padStart(4, '0'),
    bytes
      .readUInt16LE(at + 6)
      .toString(16)
      .padStart(4, '0'),
  ]
  return [...head, bytes.toString('hex', at + 8, at + 10), bytes.toString('hex', at + 10, at + 16)].join('-')
}
