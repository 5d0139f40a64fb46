/** Takes files out of an npm package: a .tgz whose members all lie below `package/`. */
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { FleetsieError } from '../../errors.ts'
import { readTar } from '../../formats/tar/reader.ts'

/** Where a file goes in the closure. */
export interface Place {
  path: string
  mode: 0o444 | 0o555
}

/** Reads all of the content. */
export type Take = (place: Place, content: AsyncIterable<Uint8Array>) => Promise<void>

/** Node's program has 120 MB. */
const sizeLimit = 512 * 1024 * 1024

/**
 * Gives those files to `take` for which `place` tells where they go.
 * Fails with E_DAMAGED for a damaged package.
 */
export async function packageFiles(
  tgz: string,
  place: (name: string) => Place | undefined,
  take: Take,
  signal: AbortSignal,
): Promise<void> {
  const each = async (bytes: AsyncIterable<Buffer>): Promise<void> => {
    for await (const { name, header, size, content } of readTar(bytes)) {
      const placed = place(name.toString('latin1').replace(/^package\//, ''))
      if (placed === undefined) continue
      if (header.type !== '0' || size > sizeLimit) {
        throw new FleetsieError('E_DAMAGED', `${name} is no plain file, or too large`, { file: tgz })
      }
      await take(placed, content)
    }
  }
  await pipeline(createReadStream(tgz), createGunzip(), each, { signal }).catch((cause: unknown) => {
    if (!(cause as NodeJS.ErrnoException).code?.startsWith('Z_')) throw cause
    throw new FleetsieError('E_DAMAGED', 'this is no whole .tgz', { file: tgz, cause })
  })
}

/** The error for a package that is whole, but not the one that it should be. */
export function lacking(name: string, tgz: string): FleetsieError {
  return new FleetsieError('E_DAMAGED', `the package lacks ${name}`, { file: tgz })
}
