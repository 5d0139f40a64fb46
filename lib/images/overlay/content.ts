/** Opens an overlay's files one after the other and proves while copying that they are what the key was made of. */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Source } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import type { LayerInput } from '../../formats/layer.ts'
import type { Planned } from './entries.ts'
import { refusePrivateKey } from './private-key-error.ts'
import { privateKeyFinder } from './private-keys.ts'

type FileSource = Source & { type: 'file' }

const pieceSize = 256 * 1024

/** Fails with E_INPUT for a file that has changed since its hash was taken, with E_UNSAFE for a private key. */
export async function* withContent(
  plan: readonly Planned[],
  allowed: ReadonlySet<string>,
): AsyncGenerator<LayerInput> {
  for (const { entry, source } of plan) {
    if (!source || entry.type !== 'file') {
      yield { entry }
      continue
    }
    // No link is followed: it would be another file than the one that was hashed.
    const file = await open(source.from, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error) => {
      throw changed(source, error)
    })
    try {
      const { size } = await file.stat()
      yield { entry: { ...entry, size }, content: checked(file, source, size, allowed.has(source.path)) }
    } finally {
      await file.close()
    }
  }
}

async function* checked(
  file: FileHandle,
  source: FileSource,
  size: number,
  allowed: boolean,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  const holdsKey = allowed ? () => false : privateKeyFinder()
  for (let at = 0; ; ) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(pieceSize), 0, pieceSize, at)
    if (bytesRead === 0 && at === size) break
    at += bytesRead
    if (bytesRead === 0 || at > size) throw changed(source)
    const piece = buffer.subarray(0, bytesRead)
    if (holdsKey(piece)) throw refusePrivateKey(source.path)
    hash.update(piece)
    yield piece
  }
  if (hash.digest('hex') !== source.sha256) throw changed(source)
}

export function changed(source: FileSource, cause?: unknown): FleetsieError {
  return new FleetsieError('E_INPUT', `${JSON.stringify(source.path)} changed while being read`, {
    file: source.path,
    hint: 'build again',
    cause,
  })
}
