/** What the layers say, entry by entry, without their contents: read once for each layer set. */
import { createReadStream } from 'node:fs'
import { inFile } from '../../errors.ts'
import type { LayerEntry, LayerFile } from '../../formats/layer/entry.ts'
import { type LayerMember, readLayer } from '../../formats/layer.ts'
import { Fingerprinter } from '../tree/fingerprint.ts'
import { assertRunning } from '../tree/merge.ts'
import { placedPieces } from '../tree/placed-pieces.ts'
import type { Staged } from '../tree/staging.ts'

const blockSize = 4096

export interface IndexedEntry {
  entry: LayerEntry
  /** Of a file; its name is the entry's number in the layer. */
  content?: Staged
}

/** The members of the layer at `path`, in its order. */
export async function* layerMembers(path: string): AsyncGenerator<LayerMember> {
  yield* readLayer(createReadStream(path, { highWaterMark: 1024 * 1024 }))
}

/** Reads the layer at `path`. Fails as `readLayer` does, and with E_INTERRUPTED. */
export function indexLayer(path: string, signal: AbortSignal): Promise<IndexedEntry[]> {
  return inFile(path, async () => {
    const entries: IndexedEntry[] = []
    for await (const { entry, content } of layerMembers(path)) {
      assertRunning(signal)
      if (entry.type !== 'file') entries.push({ entry })
      else entries.push({ entry, content: await contentOf(entry, content, `${entries.length}`) })
    }
    return entries
  })
}

async function contentOf(
  entry: LayerFile,
  content: AsyncIterable<Uint8Array>,
  name: string,
): Promise<Staged> {
  const prints = new Fingerprinter(blockSize)
  for await (const { at, bytes } of placedPieces(entry, content)) prints.add(at, bytes)
  return { name, ...prints.finish(entry.size) }
}
