/** Makes a card's filesystem fit to be edited: replays its journal, and repairs what an interrupted update left. */
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { linkedDevice } from '../ext/device.ts'
import { incompat, readSuperblock } from '../ext/superblock.ts'
import { metadataPlaces } from '../fat/check.ts'
import { FatReader } from '../fat/reader.ts'
import { partitionName } from '../partition-edit.ts'
import type { CardVolume } from '../values/types.ts'
import { Window, withWindow } from '../window.ts'
import { withoutOffset } from './without-offset.ts'

interface Mend {
  run: Run
  volume: CardVolume
  tmp: string
  /** An update of ours was interrupted: what e2fsck would ask a person about is answered by yes. */
  interrupted: boolean
}

/** Answers with what was repaired, or undefined. Fails with E_DAMAGED when a person has to decide. */
export async function mend(given: Mend): Promise<string | undefined> {
  const tmp = await mkdtemp(join(given.tmp, 'mend-'))
  try {
    return given.volume.partition.filesystem === 'vfat'
      ? await mendFat(given, tmp)
      : await mendExt(given, tmp)
  } finally {
    await rm(tmp, { recursive: true, force: true })
  }
}

async function mendExt({ run, volume, interrupted }: Mend, tmp: string): Promise<string | undefined> {
  const { path, partition } = volume
  const check = async (device: string): Promise<boolean> => {
    // Bits of the exit code, fsck(8): 1 mended, 2 mended (of a root filesystem), 4 left as it was, 8 and up: could not.
    const { stdout, stderr, exitCode } = await run('e2fsck', [interrupted ? '-fy' : '-fp', device], {
      cwd: tmp,
      env: { E2FSCK_CONFIG: '/dev/null' },
      okCodes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 12],
    })
    if (exitCode >= 4) throw beyond(volume, `${stdout}\n${stderr}`, `e2fsck -fy '${nameOf(volume)}'`)
    return exitCode !== 0
  }
  const replay = await needsReplay(volume)
  // After a replay e2fsck 1.47 opens the filesystem anew and has forgotten the offset.
  const changed =
    replay && partition.offset !== 0
      ? await withoutOffset(run, volume, tmp, check)
      : await check(await linkedDevice(path, partition.offset, tmp))
  if (replay) return 'its journal was replayed (e2fsck)'
  return changed ? 'its counts or names were put right (e2fsck)' : undefined
}

function needsReplay({ path, partition }: CardVolume): Promise<boolean> {
  return withWindow(
    path,
    partition,
    'r',
    (window) => (readSuperblock(window).incompat & incompat.recover) !== 0,
  )
}

/** fsck.fat takes no offset: it repairs a sparse copy of the tables and folders, and what it changed goes back. */
async function mendFat({ run, volume }: Mend, tmp: string): Promise<string | undefined> {
  return withWindow(volume.path, volume.partition, 'r+', async (window) => {
    const copy = join(tmp, 'fat.img')
    await writeFile(copy, '')
    await truncate(copy, window.size)
    const inCopy = new Window(copy, { offset: 0, size: window.size }, 'r+')
    try {
      const places = [...metadataPlaces(new FatReader(window))]
      for (const [at, bytes] of piecesOf(window, places)) inCopy.write(at, bytes)
      const { stdout, stderr, exitCode } = await run('fsck.fat', ['-a', copy], { okCodes: [0, 1, 2] })
      if (exitCode > 1) throw beyond(volume, `${stdout}\n${stderr}`, 'fsck.fat -r on its partition')
      let changed = false
      for (const [at, bytes] of piecesOf(inCopy, places)) {
        if (window.read(at, bytes.length).equals(bytes)) continue
        window.write(at, bytes)
        changed = true
      }
      return changed ? 'its tables were repaired (fsck.fat)' : undefined
    } finally {
      inCopy.close()
    }
  })
}

function* piecesOf(window: Window, places: readonly [number, number][]): Generator<[number, Buffer]> {
  const piece = 1024 * 1024
  for (const [position, length] of places) {
    for (let at = 0; at < length; at += piece) {
      yield [position + at, window.read(position + at, Math.min(piece, length - at))]
    }
  }
}

function beyond(volume: CardVolume, said: string, command: string): FleetsieError {
  const lines = said.split('\n').filter((line) => line.trim() !== '')
  return new FleetsieError(
    'E_DAMAGED',
    `${partitionName(volume.partition)} of the card is damaged beyond what is repaired without asking:\n${lines.slice(-6).join('\n')}`,
    { file: volume.path, hint: `repair it (${command}), or write the whole card without --files` },
  )
}

function nameOf({ path, partition }: CardVolume): string {
  return partition.offset === 0 ? path : `${path}?offset=${partition.offset}`
}
