/** Which bytes an edit may have written: more than it did, never less. Found without comparing the disk. */
import type { Creation } from '../tree/diff.ts'
import { metadataPlaces } from './check.ts'
import type { FatReader } from './reader.ts'

/** As [position, length] in bytes of the partition, without folders that are gone. `created`: the new things by their folder's number in `after`. */
export function* touchedFatPlaces(
  after: FatReader,
  created: readonly (readonly [folder: number, creations: readonly Creation[]])[],
): Generator<[number, number]> {
  yield* metadataPlaces(after)
  for (const [folder, creations] of created) yield* contents(after, folder, creations)
}

function* contents(
  after: FatReader,
  folder: number,
  creations: readonly Creation[],
): Generator<[number, number]> {
  for (const { name, node, below } of creations) {
    const id = after.list(folder).get(name)!
    if (node.type === 'directory') {
      yield* contents(after, id, below)
      continue
    }
    const { cluster } = after.fatNode(id).entry
    if (cluster === 0) continue
    for (const [first, count] of after.table.chain(cluster))
      yield [after.position(first), count * after.geometry.clusterSize]
  }
}
