/** The inputs of a release for its provenance: the stock file and each layer, by name and sha256. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import type { Input } from '../../engine/stage.ts'
import type { Dependency } from '../../formats/in-toto.ts'
import { sha256OfFile } from '../hash-file.ts'

const fileDescription = v.object({ name: v.string(), sha256: v.string() })

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
    const description = v.parse(
      fileDescription,
      JSON.parse(await readFile(join(stock.path, 'file.json'), 'utf8')),
    )
    found.push({ name: description.name, sha256: description.sha256 })
  }
  for (const { name, path } of layers) found.push({ name, sha256: await sha256OfFile(path) })
  return found
}
