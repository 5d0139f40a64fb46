/** What the stage `install` does: checks which system an image holds, and makes the layer that provisions it. */
import { createReadStream, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import type { BuildContext, Input } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { compareEntries, type LayerInput } from '../../formats/layer.ts'
import { ExtReader } from '../ext/reader.ts'
import { diskName } from '../image.ts'
import { readPartitionTable } from '../partitions.ts'
import { withWindow } from '../window.ts'
import { writeLayerFile } from '../write-layer-file.ts'
import { findRoot } from './find-root.ts'
import { hasSystemd } from './identity.ts'
import { type OsType, recipes } from './recipes.ts'
import { deviceFiles, deviceLinks, unit, unitFile, unitFolder } from './units.ts'
import { isFolder } from './volume-file.ts'

interface InstallOptions {
  image: Input
  os: OsType
  /** Number of the root partition; found by its os-release when it is not given. */
  partition?: number | undefined
}

/** Writes the layer of the root partition into `context.out`. */
export async function writeInstallLayer(
  context: Omit<BuildContext<unknown>, 'options'>,
  { image, os, partition }: InstallOptions,
): Promise<void> {
  const recipe = recipes.find((candidate) => candidate.os === os)
  if (!recipe) throw new FleetsieError('E_BUG', `no recipe for ${os}`)
  const disk = join(image.path, diskName)
  const table = await readPartitionTable(disk, context.warn)
  const root = await findRoot(disk, table, recipe, partition)
  const missing = await withWindow(disk, root, 'r', (window) => {
    const volume = new ExtReader(window)
    if (!hasSystemd(volume)) {
      throw new FleetsieError('E_INPUT', `partition ${root.number} holds ${os}, but no systemd`, {
        hint: 'fleetsie_provision is started by systemd; an image with it is needed',
      })
    }
    const folders = new Set([...deviceFiles, ...deviceLinks].flatMap(({ path }) => parents(dirname(path))))
    return [...folders].filter((folder) => !isFolder(volume, folder))
  })
  const files = new Map(
    context.sources.flatMap((source) => (source.type === 'file' ? [[source.path, source.from]] : [])),
  )
  const entries = layerOf(missing, recipe.dropIn, (name) => files.get(`units/${name}`) ?? unitFile(name))
  entries.sort((a, b) => compareEntries(a.entry, b.entry))
  await writeLayerFile(context, root.number, entries)
}

/** The layer's entries. A folder that the image has is not named, so that it stays as it is. */
function layerOf(missing: readonly string[], dropIn: string, from: (name: string) => string): LayerInput[] {
  const said = { uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map<string, Buffer>() }
  const folder = (path: string): LayerInput => ({ entry: { ...said, type: 'directory', path, mode: 0o755 } })
  const text = (path: string, content: string): LayerInput => ({
    entry: { ...said, type: 'file', path, mode: 0o644, size: Buffer.byteLength(content) },
    content: Readable.from([Buffer.from(content)]),
  })
  return [
    ...[...missing, `${unitFolder}/${unit}.d`].map(folder),
    text(`${unitFolder}/${unit}.d/stable.conf`, dropIn),
    ...deviceFiles.map(({ from: name, path, mode }) => {
      const file = from(name)
      return {
        entry: { ...said, type: 'file' as const, path, mode, size: statSync(file).size },
        content: createReadStream(file),
      }
    }),
    ...deviceLinks.map(({ path, target }) => ({
      entry: { ...said, type: 'symlink' as const, path, mode: 0o777, target },
    })),
  ]
}

/** `a/b/c` → a, a/b, a/b/c. */
function parents(path: string): string[] {
  const parts = path.split('/')
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'))
}
