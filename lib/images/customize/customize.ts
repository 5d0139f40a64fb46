/** What the stage `customize` does: files, packages and a script on the merged tree, and the layer set of what changed. */
import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { BuildContext, Derivation } from '../../engine/stage.ts'
import { compareEntries, type LayerInput } from '../../formats/layer.ts'
import { writeLayerFile } from '../write-layer-file.ts'
import { captureLayer } from './capture.ts'
import { emulatorFor } from './emulator.ts'
import { placeFiles } from './place-files.ts'
import { prepareDisk } from './prepare.ts'
import { ProjectFiles } from './project-files.ts'
import { rightsHere } from './rights.ts'
import { removeRun, runSandbox } from './sandbox.ts'
import { fileEntries } from './seed.ts'
import { seedParts } from './seed-parts.ts'
import { type CustomizeFiles, runsPrograms } from './sources.ts'

export interface CustomizeOptions extends CustomizeFiles {
  image: Derivation
  table: Derivation
  layers: Derivation[]
  network: boolean
  /** Seconds. */
  timeout: number
  root?: number | undefined
}
type Context = BuildContext<CustomizeOptions>

export async function runCustomize(context: Context): Promise<void> {
  const { options, tmp, signal, run, log } = context
  const rights = runsPrograms(options) ? rightsHere() : undefined
  const project = new ProjectFiles(context.sources, options)
  const prepared = await prepareDisk({
    ...{ run, tmp, signal, log, epoch: context.epoch, root: options.root },
    image: options.image.path,
    table: options.table.path,
    layers: options.layers.map(({ path }) => path),
  })
  const files = await placeFiles(await project.files(join(tmp, 'files')), prepared)
  if (!rights) {
    for (const [number, its] of files) await writeChanges(context, number, fileEntries(its))
    return
  }

  const { disk, epoch } = prepared
  const folder = join(tmp, 'run')
  // Run by root, it will hold set-uid programs of the image, which belong to the host's root.
  await mkdir(folder, { mode: 0o700 })
  await mkdir(join(folder, 'root'))
  await symlink(resolve(disk), join(folder, 'disk'))
  const { byShell } = await project.forRun(join(folder, 'in'))
  if (options.network) await provideResolver(join(folder, 'in/resolv.conf'))
  const { parts, places, ours, architecture } = await seedParts(prepared, files, folder, options.network)
  const emulator = emulatorFor(architecture)
  if (emulator) context.note(`programs for ${emulator.architecture} run by qemu`)
  const startedAt = Math.floor(Date.now() / 1000)
  const script = options.script ?? 'installing the packages'
  const { network, timeout } = options
  await runSandbox({
    ...{ run, rights, folder, disk, parts, places, network, emulator, epoch, byShell, script, timeout },
  })
  try {
    const unsaidFrom = Math.min(epoch + 1, startedAt)
    for (const part of parts) {
      await captureLayer({ disk, folder, ours, unsaidFrom, warn: context.warn }, part, (entries) =>
        writeChanges(context, part.partition.number, entries),
      )
    }
  } finally {
    await removeRun({ folder, rights })
  }
}

/** A partition in which nothing changed gets no layer. */
async function writeChanges(
  context: Context,
  partition: number,
  entries: readonly LayerInput[],
): Promise<void> {
  if (entries.length === 0) return
  const sorted = [...entries].sort((a, b) => compareEntries(a.entry, b.entry))
  await writeLayerFile(context, partition, sorted)
}

/** The host's, for the run alone. */
async function provideResolver(file: string): Promise<void> {
  await copyFile('/etc/resolv.conf', file).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    await writeFile(file, '')
  })
}
