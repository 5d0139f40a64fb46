/** crc32c (Castagnoli), as ext4 uses it: seeded, not inverted at the end. */

const table = new Uint32Array(256)
for (let i = 0; i < 256; i++) {
  let value = i
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  table[i] = value
}

export function crc32c(seed: number, bytes: Uint8Array): number {
  let crc = seed >>> 0
  for (const byte of bytes) crc = (crc >>> 8) ^ table[(crc ^ byte) & 0xff]!
  return crc >>> 0
}
