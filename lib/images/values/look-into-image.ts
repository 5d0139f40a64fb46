/** Reads files of an image that is still packed: only the parts that are asked for are unpacked. */
import { mkdtemp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DiskImage } from '../flash/types.ts'
import { openVolume } from '../read-tree.ts'
import { type Place, Window } from '../window.ts'
import { checkValues } from './apply-values.ts'
import type { CardVolume, DeviceValues } from './types.ts'
import { VolumeEdit } from './volume-edit.ts'

type Packed = Pick<DiskImage, 'size' | 'table' | 'read'>

/** Unpacked at once: a block of `xz -T0` at its usual level, and no decoder begins within a block. */
const step = 24 * 1024 * 1024

/**
 * Whether the image has what the values need, as applyValues says it after the card was written. `tmp` has room for a part
 * of the image. Fails with E_INPUT, or as reading the image does.
 */
export function checkImageValues(
  image: Packed,
  values: readonly DeviceValues[],
  { tmp, signal }: { tmp: string; signal: AbortSignal },
): Promise<void> {
  return lookInto(image, tmp, signal, (volumes, openWindow) => {
    for (const one of values) checkValues(volumes, one, ({ partition }) => openWindow(partition))
  })
}

/** The name that the image gives to every device, or undefined. */
export function hostnameOf(
  image: Packed,
  { tmp, signal }: { tmp: string; signal: AbortSignal },
): Promise<string | undefined> {
  return lookInto(image, tmp, signal, (volumes, openWindow) => {
    for (const { partition } of volumes) {
      if (!partition.filesystem?.startsWith('ext')) continue
      const window = openWindow(partition)
      try {
        const name = new VolumeEdit(openVolume(window, partition)).read('etc/hostname')?.trim()
        if (name) return name
      } finally {
        window.close()
      }
    }
    return undefined
  })
}

class Missing extends Error {
  readonly from: number
  readonly to: number

  constructor(from: number, to: number) {
    super('not unpacked yet')
    this.from = from
    this.to = to
  }
}

/** Says which part it would have to know, where that is not unpacked yet. */
class PartlyUnpacked extends Window {
  private readonly there: ReadonlySet<number>

  constructor(disk: string, place: Place, there: ReadonlySet<number>) {
    super(disk, place)
    this.there = there
  }

  override readInto(bytes: Buffer, position: number): void {
    const end = Math.min(position + bytes.length, this.size)
    const first = Math.floor((this.offset + position) / step)
    const last = Math.floor((this.offset + end - 1) / step)
    for (let part = first; part <= last; part++) if (!this.there.has(part)) throw new Missing(first, last)
    super.readInto(bytes, position)
  }
}

/** Runs `work` again and again, until all that it reads is there: it is fast, and unpacking is not. */
async function lookInto<T>(
  image: Packed,
  tmp: string,
  signal: AbortSignal,
  work: (volumes: readonly CardVolume[], openWindow: (place: Place) => Window) => T,
): Promise<T> {
  const folder = await mkdtemp(join(tmp, 'look-'))
  const path = join(folder, 'part.img')
  const there = new Set<number>()
  const file = await open(path, 'wx', 0o600)
  try {
    await file.truncate(image.size)
    const volumes = image.table.partitions.map((partition) => ({ path, partition }))
    for (;;) {
      signal.throwIfAborted()
      try {
        return work(volumes, (place) => new PartlyUnpacked(path, place, there))
      } catch (error) {
        if (!(error instanceof Missing)) throw error
        const offset = error.from * step
        const length = Math.min((error.to + 1) * step, image.size) - offset
        for await (const { at, bytes } of image.read([{ offset, length }], signal)) {
          for (let put = 0; put < bytes.length; ) {
            put += (await file.write(bytes, put, bytes.length - put, at + put)).bytesWritten
          }
        }
        for (let part = error.from; part <= error.to; part++) there.add(part)
      }
    }
  } finally {
    await file.close()
    await rm(folder, { recursive: true, force: true })
  }
}
