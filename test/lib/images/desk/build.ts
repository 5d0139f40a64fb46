/** The layer that the stage `overlay` makes of a desk's overlays/, as a build does. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuildStage } from '../../../../lib/engine/stage.ts'
import { sha256Of } from '../../../../lib/images/desk/overlay-edit.ts'
import { overlay } from '../../../../stages/overlay.ts'
import { buildContext } from '../../../helpers/context.ts'

const allKeys = { includes: () => true, [Symbol.iterator]: () => [][Symbol.iterator]() }

/** `layer` is undefined when there is nothing to change. */
export async function outputOf(
  folder: string,
  partition: number,
): Promise<{ layer: string | undefined; remove(): Promise<void> }> {
  const names = await readdir(join(folder, 'overlays'))
  if (!names.some((name) => name === `part_${partition}` || name === `part_${partition}.mtree`)) {
    return { layer: undefined, remove: async () => {} }
  }
  const options = { from: 'overlays', partition, allowPrivateKeys: allKeys }
  const stage = overlay({ from: 'overlays' }).stage as BuildStage
  const sources = await stage.sources!(options as never, { cwd: folder, sha256: sha256Of, note: () => {} })
  const context = await buildContext(options as never, { sources })
  await stage.run(context as never)
  const layer = context.record.declared.has(`part_${partition}.tar`)
  return {
    layer: layer ? join(context.out, `part_${partition}.tar`) : undefined,
    remove: () => context.remove(),
  }
}
