/** Writes the layer of one partition into a layer set. */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { BuildContext } from '../engine/stage.ts'
import { type LayerInput, writeLayer } from '../formats/layer.ts'

/** `inputs` are in a layer's order. The file is `part_N.tar` in `context.out`; its sum is declared. */
export async function writeLayerFile(
  context: Pick<BuildContext<unknown>, 'out' | 'signal' | 'declare'>,
  partition: number,
  inputs: Iterable<LayerInput> | AsyncIterable<LayerInput>,
): Promise<void> {
  const name = `part_${partition}.tar`
  const hash = createHash('sha256')
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const piece of writeLayer(inputs)) {
      hash.update(piece)
      yield piece
    }
  }
  await pipeline(hashed, createWriteStream(join(context.out, name), { flags: 'wx', mode: 0o644 }), {
    signal: context.signal,
  })
  context.declare(name, { sha256: hash.digest('hex') })
}
