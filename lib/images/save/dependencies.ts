/** The inputs of a release for its provenance: the stock file and each layer, by name and sha256. */
import { join } from 'node:path'
import type { Input } from '../../engine/stage.ts'
import type { Dependency } from '../../formats/in-toto.ts'
import { fetchedFile } from '../fetched-file.ts'
import { sha256OfFile } from '../hash-file.ts'

/** `layers` are the layer files in their order; a layer's name tells its set and its partition. */
export async function releaseDependencies(
  image: Input,
  stock: Input | undefined,
  layers: readonly { name: string; path: string }[],
): Promise<Dependency[]> {
  const found: Dependency[] = [
    { name: 'image.json', sha256: await sha256OfFile(join(image.path, 'image.json')) },
  ]
  if (stock) {
    const { name, sha256 } = await fetchedFile(stock.path)
    found.push({ name, sha256 })
  }
  for (const { name, path } of layers) found.push({ name, sha256: await sha256OfFile(path) })
  return found
}
