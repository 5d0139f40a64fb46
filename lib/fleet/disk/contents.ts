/** What a provisioning disk holds now, by the documented names or by those of older versions. Nothing is changed. */
import { FleetsieError } from '../../errors.ts'
import { lines, readClaimed, readDevicesDatabase, readDevicesList, type UnclaimedDevice } from './devices.ts'
import { limits, names, olderNames } from './layout.ts'
import type { DiskPlace, EntryType } from './place.ts'

export interface DiskContents {
  /** The names in `fleetsie`. */
  entries: Map<string, EntryType>
  /** Whose disk it is, by its fleet.txt; undefined where that is missing or has fewer than two lines. */
  of: { host: string; fleet: string } | undefined
  /** The private key that the devices log in with, as text. */
  key: Buffer | undefined
  /** Not claimed, as far as the disk knows; ascending. */
  has: number[]
  /** What claimed.txt says. */
  claimed: number[]
  /** The folder of an older version that can be called `customize`. */
  customize: string | undefined
}

/**
 * Reads the disk; what is damaged of its list of devices is told by `warn`, for it is made anew. Fails with E_INPUT where a
 * file is larger than any that belongs there.
 */
export async function readContents(place: DiskPlace, warn: (line: string) => void): Promise<DiskContents> {
  const entries = await entriesOf(place)
  const text = (name: string) => place.read(name, limits.text)
  const of = whose(await text(names.fleet))
  const claimed = readClaimed((await text(names.claimed)) ?? Buffer.alloc(0))
  const devices = await readDevices(place, warn)
  const key = (await text(names.key)) ?? (of && (await text(olderNames.key(of.fleet))))
  return {
    entries,
    of,
    key: key ?? undefined,
    has: devices.map(({ id_in_fleet }) => id_in_fleet).filter((id) => !claimed.includes(id)),
    claimed,
    customize: entries.has(names.customize) ? undefined : await olderCustomize(place, entries),
  }
}

/** The names in `fleetsie`, with `wifi.txt` where the filesystem takes another for it: to FAT, `WIFI.TXT` is the same. */
export async function entriesOf(place: DiskPlace): Promise<DiskContents['entries']> {
  const entries = await place.list('')
  if (!entries.has(names.wifi) && (await place.read(names.wifi, limits.devices)))
    entries.set(names.wifi, 'file')
  return entries
}

/** Only what devices would run in the same way under the new name: `setup` and what that needs. */
async function olderCustomize(
  place: DiskPlace,
  entries: DiskContents['entries'],
): Promise<string | undefined> {
  for (const name of olderNames.customize) {
    if (entries.get(name) !== 'folder') continue
    const inside = await place.list(name)
    if (!olderNames.customizeOnly.some((only) => inside.has(only))) return name
  }
  return undefined
}

function whose(fleetText: Buffer | undefined): DiskContents['of'] {
  if (!fleetText) return undefined
  const [host, fleet] = lines(fleetText).map((line) => line.trim())
  return host && fleet ? { host, fleet } : undefined
}

/** By the database; where that is missing or damaged, by the list beside it. */
async function readDevices(place: DiskPlace, warn: (line: string) => void): Promise<UnclaimedDevice[]> {
  for (const name of [names.database, olderNames.database]) {
    const bytes = await place.read(name, limits.devices)
    if (!bytes) continue
    try {
      return await readDevicesDatabase(bytes, name, await place.read(`${name}-journal`, limits.devices))
    } catch (error) {
      if (!(error instanceof FleetsieError)) throw error
      warn(`${place.name}: ${error.message}; it is made anew`)
    }
  }
  const list = await place.read(names.list, limits.devices)
  return list ? readDevicesList(list) : []
}
