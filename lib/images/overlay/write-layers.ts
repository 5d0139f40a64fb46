/** Writes one layer for each partition that an overlay's sources speak of. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { BuildContext, Source } from '../../engine/stage.ts'
import { inFile } from '../../errors.ts'
import type { LayerInput } from '../../formats/layer.ts'
import { type MtreeEntry, parseMtree } from '../../formats/mtree.ts'
import { writeLayerFile } from '../write-layer-file.ts'
import { changed, withContent } from './content.ts'
import { planEntries } from './entries.ts'
import { partNumber, sourcePrefix } from './parts.ts'
import type { OverlayOptions } from './sources.ts'

/** Reads only what `context.sources` names. A partition without any entry gets no layer. */
export async function writeOverlayLayers(context: BuildContext<OverlayOptions>): Promise<void> {
  const prefix = `${sourcePrefix(context.options.from)}/`
  const parts = new Map<number, { sources: Source[]; mtree: Source | undefined }>()
  for (const source of context.sources) {
    const [name, ...rest] = source.path.slice(prefix.length).split('/')
    const number = partNumber(name!)!
    const part = parts.get(number) ?? { sources: [], mtree: undefined }
    if (rest.length > 0) part.sources.push(source)
    else part.mtree = source
    parts.set(number, part)
  }
  const total = context.sources.length
  let done = 0
  for (const [number, { sources, mtree }] of [...parts].sort(([a], [b]) => a - b)) {
    await inFile(`${prefix}part_${number}`, async () => {
      const lines = mtree ? await readMtree(mtree, context) : []
      const plan = await inFile(mtree?.path ?? `${prefix}part_${number}`, () =>
        planEntries(sources, `${prefix}part_${number}/`, lines),
      )
      if (plan.length === 0) return
      const allowed = new Set(context.options.allowPrivateKeys)
      const inputs = counted(withContent(plan, allowed), () => context.progress(++done, total, 'files'))
      await writeLayerFile(context, number, inputs)
    })
  }
}

async function readMtree(source: Source, context: BuildContext<OverlayOptions>): Promise<MtreeEntry[]> {
  return await inFile(source.path, async () => {
    if (source.type !== 'file') return []
    const bytes = await readFile(source.from)
    if (createHash('sha256').update(bytes).digest('hex') !== source.sha256) throw changed(source)
    const lines = parseMtree(bytes)
    const top = lines.find(({ path }) => path === '')
    if (top && (top.mode !== undefined || top.uid || top.gid || top.mtime || top.xattrs.size > 0)) {
      context.note(`${source.path}, line ${top.line}: the partition's top folder stays as the image has it`)
    }
    return lines
  })
}

async function* counted(inputs: AsyncIterable<LayerInput>, count: () => void): AsyncGenerator<LayerInput> {
  for await (const input of inputs) {
    yield input
    count()
  }
}
