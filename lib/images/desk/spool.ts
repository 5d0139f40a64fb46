/** Copies a file's content to a place beside its later one, and learns on the way all that has to be known of it. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { privateKeyFinder } from '../overlay/private-keys.ts'

export interface Spooled {
  sha256: string
  /** Bytes. */
  size: number
  holdsKey: boolean
}

/** `compare` gets every byte as well. The new file is for its owner alone. */
export async function spoolContent(
  content: AsyncIterable<Buffer>,
  to: string,
  compare: { update(bytes: Buffer): void } | undefined,
): Promise<Spooled> {
  const hash = createHash('sha256')
  const finder = privateKeyFinder()
  let size = 0
  let holdsKey = false
  const file = await open(to, 'wx', 0o600)
  try {
    for await (const bytes of content) {
      hash.update(bytes)
      compare?.update(bytes)
      holdsKey ||= finder(bytes)
      await file.appendFile(bytes)
      size += bytes.length
    }
  } finally {
    await file.close()
  }
  return { sha256: hash.digest('hex'), size, holdsKey }
}
