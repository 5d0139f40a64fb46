/** What a card holds, ready to be edited: root filesystems, and the boot partition of a Raspberry Pi. */
import { FleetsieError } from '../../errors.ts'
import { identify } from '../os/identity.ts'
import { openVolume } from '../read-tree.ts'
import { Window } from '../window.ts'
import type { CardVolume } from './types.ts'
import { VolumeEdit } from './volume-edit.ts'

export interface Card {
  /** All of them: of two that take turns, each has to be this device's. */
  roots: VolumeEdit[]
  /** The FAT partition that the firmware reads. */
  boot?: VolumeEdit
  /** What was collected, with the partition that it is for. */
  edits: { volume: CardVolume; edit: VolumeEdit }[]
}

/** Opens the volumes for `work`. Fails with E_INPUT when no root filesystem is among them. */
export async function withCard<T>(
  volumes: readonly CardVolume[],
  work: (card: Card) => T | Promise<T>,
): Promise<T> {
  const windows: Window[] = []
  try {
    return await work(openCard(volumes, windows, ({ path, partition }) => new Window(path, partition)))
  } finally {
    for (const window of windows) window.close()
  }
}

/** As withCard, without waiting; `windows` are what the caller has to close. */
export function openCard(
  volumes: readonly CardVolume[],
  windows: Window[],
  openWindow: (volume: CardVolume) => Window,
): Card {
  const card: Card = { roots: [], edits: [] }
  for (const volume of volumes) {
    const { filesystem } = volume.partition
    if (!filesystem?.startsWith('ext') && filesystem !== 'vfat') continue
    const window = openWindow(volume)
    windows.push(window)
    const edit = new VolumeEdit(openVolume(window, volume.partition))
    card.edits.push({ volume, edit })
    if (filesystem === 'vfat') {
      if (!card.boot && (edit.has('cmdline.txt') || edit.has('config.txt'))) card.boot = edit
    } else if (identify(edit.volume)) card.roots.push(edit)
  }
  if (card.roots.length > 0) return card
  throw new FleetsieError(
    'E_INPUT',
    'values cannot be written: no partition holds an os-release on ext2, ext3 or ext4',
    { hint: 'write the partition with the root filesystem as well, or give no values' },
  )
}
