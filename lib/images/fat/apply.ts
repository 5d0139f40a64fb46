/** Applies layers to FAT12, FAT16 or FAT32: read, plan, edit by mtools, compare, check. Owner and mode have no place there. */
import { symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { ApplyOptions } from '../apply-options.ts'
import { partitionName } from '../partition-edit.ts'
import { type Creation, type Diff, diffTree } from '../tree/diff.ts'
import { Fingerprinter } from '../tree/fingerprint.ts'
import { assertRunning, mergeLayers } from '../tree/merge.ts'
import { MergedTree } from '../tree/merged.ts'
import { Staging } from '../tree/staging.ts'
import { shown } from '../volume.ts'
import { withWindow } from '../window.ts'
import { fsckFat, mendFatHint, metadataPlaces } from './check.ts'
import { FatEdit } from './edit.ts'
import { fatTime } from './entries.ts'
import { Mtools } from './mtools.ts'
import { fatEntryChecker } from './names.ts'
import { FatReader } from './reader.ts'
import { assertFatRoom } from './space.ts'
import { touchedFatPlaces } from './touched.ts'

const blockSize = 4096

/** `tmp` is empty and ours alone. Answers with what may have changed, as [position, length] in the partition. */
export async function applyFat(options: ApplyOptions, tmp: string): Promise<[number, number][]> {
  const { run, disk, partition, layers, epoch, signal } = options
  const what = partitionName(partition)
  return withWindow(disk, partition, 'r+', async (window) => {
    const before = new FatReader(window)
    if (!options.checked) {
      const hint = mendFatHint(partition)
      await fsckFat(run, window, before, tmp, { code: 'E_DAMAGED', what, hint })
    }
    const tree = new MergedTree(before)
    const staging = await Staging.open(tmp, blockSize)
    await mergeLayers(tree, layers, staging, fatEntryChecker(), signal)
    const diff = diffTree(tree)
    if (diff.folders.length === 0) return []
    // Listed before the names go.
    const old = [...metadataPlaces(before)]
    assertFatRoom(window, before, diff, what)

    // Through a link of our own: mtools takes all behind '@@' in an image's name as its offset.
    await symlink(resolve(disk), join(tmp, 'disk'))
    const mtools = new Mtools(run, tmp, 'disk', partition.offset)
    const edit = new FatEdit({ mtools, window, staging, tmp, epoch: fatTime(epoch) })
    for (const change of diff.folders) {
      assertRunning(signal)
      await edit.change(before, change)
    }
    const after = new FatReader(window)
    verify(before, after, diff, epoch, (why) => {
      throw new FleetsieError('E_STAGE', `${what} does not hold what mtools was told to write: ${why}`)
    })
    if (!options.checkLater) {
      await fsckFat(run, window, after, tmp, { code: 'E_STAGE', what: `${what}, just edited,` })
    }
    const created = diff.folders.map(
      ({ id, creations }) => [sameFolder(before, after, id), creations] as const,
    )
    return [...old, ...touchedFatPlaces(after, created)]
  })
}

function verify(
  before: FatReader,
  after: FatReader,
  diff: Diff,
  epoch: number,
  wrong: (why: string) => never,
): void {
  // The folders' places may be new: they are found by name.
  for (const { id, removals, creations } of diff.folders) {
    const expected = new Set(before.list(id).keys())
    for (const { name } of removals) expected.delete(name)
    for (const { name } of creations) expected.add(name)
    const folder = sameFolder(before, after, id)
    names(folder, expected)
    for (const creation of creations) created(folder, creation)
  }

  function names(folder: number, expected: Set<string>): void {
    const found = after.list(folder)
    for (const name of expected) if (!found.has(name)) wrong(`${JSON.stringify(shown(name))} is missing`)
    for (const name of found.keys())
      if (!expected.has(name)) wrong(`${JSON.stringify(shown(name))} should not be there`)
  }

  function created(folder: number, { name, node, below }: Creation): void {
    const id = after.list(folder).get(name)!
    const is = after.node(id)
    const time = node.attributes!.mtime
    const seconds = fatTime(time.seconds === 0 && time.nanoseconds === 0 ? epoch : time.seconds)
    if (is.type !== node.type) wrong(`${shown(name)} is a ${is.type}`)
    if (is.mtime.seconds !== seconds) wrong(`${shown(name)} has the wrong time`)
    if (node.type === 'directory') {
      names(id, new Set(below.map((creation) => creation.name)))
      for (const creation of below) created(id, creation)
      return
    }
    const prints = new Fingerprinter(blockSize)
    for (const { at, bytes } of after.pieces(id)) prints.add(at, bytes)
    if (is.size !== node.content!.size || prints.finish(is.size).digest !== node.content!.digest)
      wrong(`${shown(name)} has the wrong content`)
  }
}

function sameFolder(before: FatReader, after: FatReader, id: number): number {
  if (id === 0) return 0
  const { parent, entry } = before.fatNode(id)
  return after.list(sameFolder(before, after, parent)).get(entry.name)!
}
