/** Tells the container of a download by its first bytes. Its name only says what was promised. */

import { FleetsieError } from '../../errors.ts'
import { headerMagic } from '../../formats/xz/stream.ts'
import type { ContainerKind } from '../image.ts'
import { damagedContainer } from './decoding.ts'

/** Bytes that `containerKind` wants to see. */
export const magicLength = 8

const magics: readonly { kind: ContainerKind; bytes: Buffer }[] = [
  { kind: 'xz', bytes: headerMagic },
  { kind: 'gz', bytes: Buffer.from([0x1f, 0x8b]) },
  { kind: 'zst', bytes: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) },
  { kind: 'zip', bytes: Buffer.from('PK\x03\x04', 'latin1') },
]

const foreign: readonly { name: string; bytes: Buffer }[] = [
  { name: 'bzip2', bytes: Buffer.from('BZh') },
  { name: '7z', bytes: Buffer.from('7z\xbc\xaf\x27\x1c', 'latin1') },
  { name: 'lz4', bytes: Buffer.from([0x04, 0x22, 0x4d, 0x18]) },
  { name: 'lzip', bytes: Buffer.from('LZIP') },
  { name: 'qcow2', bytes: Buffer.from('QFI\xfb', 'latin1') },
]

const promises: readonly { kind: ContainerKind; name: RegExp }[] = [
  { kind: 'xz', name: /\.xz$/i },
  { kind: 'gz', name: /\.gz$/i },
  { kind: 'zst', name: /\.zst$/i },
  { kind: 'zip', name: /\.zip$/i },
]

/**
 * The container of a file that begins with `start`.
 * @throws E_UNSUPPORTED for one that we cannot read; E_DAMAGED when no magic bytes are there although the name
 * promises a container: such a file must not be taken for a raw image
 */
export function containerKind(start: Uint8Array, name: string): ContainerKind {
  const begins = (bytes: Buffer): boolean => bytes.equals(start.subarray(0, bytes.length))
  const found = magics.find((magic) => begins(magic.bytes))
  if (found) return found.kind
  const other = foreign.find((magic) => begins(magic.bytes))
  if (other) {
    throw new FleetsieError('E_UNSUPPORTED', `this is a ${other.name} file`, {
      hint: 'give an .img.xz, .img.gz, .img.zst, .zip or raw .img',
    })
  }
  const promised = promises.find((promise) => promise.name.test(name))
  if (promised)
    throw damagedContainer(`this is no .${promised.kind} file: its magic bytes are missing (byte 0)`)
  return 'raw'
}
