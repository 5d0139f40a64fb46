/** Where in its file each piece of a layer's content belongs: a sparse file's content is its extents, one after the other. */
import { FleetsieError } from '../../errors.ts'
import type { LayerFile } from '../../formats/layer/entry.ts'

/** In order; what is left out is zeros. Fails with E_DAMAGED when the content is not as long as the entry says. */
export async function* placedPieces(
  entry: LayerFile,
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ at: number; bytes: Uint8Array }> {
  const extents = entry.extents ?? [{ offset: 0, length: entry.size }]
  let index = 0
  let done = 0
  for await (const chunk of content) {
    let from = 0
    while (from < chunk.length) {
      const extent = extents[index]
      if (extent === undefined) throw wrongLength(entry)
      if (done === extent.length) {
        index++
        done = 0
        continue
      }
      const bytes = chunk.subarray(from, from + extent.length - done)
      yield { at: extent.offset + done, bytes }
      done += bytes.length
      from += bytes.length
    }
  }
  while (extents[index] && done === extents[index]!.length) {
    index++
    done = 0
  }
  if (index < extents.length) throw wrongLength(entry)
}

function wrongLength(entry: LayerFile): FleetsieError {
  return new FleetsieError(
    'E_DAMAGED',
    `the content of ${entry.path} does not have the length that its entry says`,
  )
}
