/**
 * The repository JSON of the Raspberry Pi Imager (raspberrypi/rpi-imager, doc/json-schema/os-list-schema.json):
 * a list with one entry, so that `rpi-imager --repo FILE` takes the file as it is.
 */
import { FleetsieError } from '../errors.ts'
import { isoDate } from './dates.ts'
import { sortedJson } from './json.ts'

export interface ImagerEntry {
  /** Shown in the list. */
  name: string
  description: string
  /** Of the compressed file: http(s), or its bare name until it is published. */
  url: string
  icon?: string
  website?: string
  /** Compressed, bytes. */
  image: { size: number; sha256: string }
  /** Unpacked, bytes. The Imager aborts and wipes the first MiB if the sha256 is wrong. */
  disk: { size: number; sha256: string }
  /** Seconds since 1970. */
  epoch: number
  /** Tags such as `pi5-64bit`. Empty: for any board; a list whose entries name no boards filters none out. */
  devices: readonly string[]
  /** armel, armhf or armv8. */
  architecture?: string
}

/** Writes the list. Sizes must be whole and positive. */
export function formatImagerList(entry: ImagerEntry): string {
  for (const { size, sha256 } of [entry.image, entry.disk]) {
    if (!Number.isSafeInteger(size) || size < 1 || !/^[0-9a-f]{64}$/.test(sha256)) {
      throw new FleetsieError('E_BUG', 'an image without size or sha256')
    }
  }
  return sortedJson({
    os_list: [
      {
        name: entry.name,
        description: entry.description,
        icon: entry.icon ?? '',
        url: entry.url,
        website: entry.website,
        extract_size: entry.disk.size,
        extract_sha256: entry.disk.sha256,
        image_download_size: entry.image.size,
        image_download_sha256: entry.image.sha256,
        release_date: isoDate(entry.epoch),
        devices: entry.devices,
        architecture: entry.architecture,
      },
    ],
  })
}
