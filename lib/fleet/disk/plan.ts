/** What has to change on a disk so that it is this fleet's: the user's files are kept, ours are made anew. */
import type { DiskContents } from './contents.ts'
import { devicesDatabase, devicesList, type UnclaimedDevice } from './devices.ts'
import { isNextKey, names, olderNames } from './layout.ts'
import type { Change, DiskPlace } from './place.ts'

/** What the disk is to hold. */
export interface DiskWish {
  /** As in fleet.txt: a name or an address, with its port where that is not 22. */
  host: string
  fleet: string
  /** `HOST ssh-ed25519 AAAA…`, the key that the server was verified by. */
  knownHost: string
  /** OpenSSH's form, and the line of the public half. */
  key: { private: Buffer; public: string }
  devices: readonly UnclaimedDevice[]
  /** The secret-free part: wifi.txt, ssh-tunnel.service, ssh_tunnel.sh and what is in `customize/`. */
  bundle: readonly BundleFile[]
}

export interface BundleFile {
  /** Relative to `fleetsie`. */
  name: string
  bytes: Buffer
  executable: boolean
}

/** CR LF, as all text that a person may open on any system. */
export function fleetText({ host, fleet, knownHost }: DiskWish): string {
  return `${host}\r\n${fleet}\r\n${knownHost}\r\n`
}

/**
 * The changes in the order in which they are safe. A disk of the same fleet stays usable at each of them; one that was
 * another's has no fleet.txt in between, so that no device takes it for whole.
 */
export async function planDisk(contents: DiskContents, wish: DiskWish): Promise<Change[]> {
  const { entries, of } = contents
  const changes: Change[] = []
  const write = (name: string, bytes: Buffer | string, executable = false): void => {
    changes.push({ do: 'write', name, bytes: Buffer.from(bytes), executable })
  }
  const remove = (name: string): void => {
    if (entries.has(name)) changes.push({ do: 'remove', name })
  }
  const same = of !== undefined && of.fleet === wish.fleet && of.host === wish.host
  if (!same) remove(names.fleet)

  if (contents.customize !== undefined) {
    changes.push({ do: 'rename', name: contents.customize, to: names.customize })
  }
  changes.push({ do: 'folder', name: names.customize })
  for (const folder of foldersOf(wish.bundle)) changes.push({ do: 'folder', name: folder })
  for (const { name, bytes, executable } of wish.bundle) {
    // The user's, once it is there.
    if (name !== names.wifi || !entries.has(name)) write(name, bytes, executable)
  }

  write(names.key, wish.key.private)
  write(names.publicKey, `${wish.key.public}\n`)
  // Rolled back into a database that it is not of, a journal would damage it.
  remove(`${names.database}-journal`)
  write(names.database, await devicesDatabase(wish.devices))
  write(names.list, devicesList(wish.devices))
  if (entries.has(names.claimed)) write(names.claimed, '')
  write(names.fleet, fleetText(wish))

  for (const name of entries.keys()) if (isNextKey(name)) remove(name)
  const { database, backup, key } = olderNames
  for (const name of [database, `${database}-journal`, backup]) remove(name)
  for (const fleet of new Set([wish.fleet, ...(of ? [of.fleet] : [])])) {
    remove(key(fleet))
    remove(`${key(fleet)}.pub`)
  }
  return changes
}

/** Those that a bundle's files lie in, each after the one around it. */
function foldersOf(bundle: readonly BundleFile[]): string[] {
  const folders = new Set<string>()
  for (const { name } of bundle) {
    for (let cut = name.indexOf('/'); cut !== -1; cut = name.indexOf('/', cut + 1))
      folders.add(name.slice(0, cut))
  }
  return [...folders].filter((name) => name !== names.customize).sort()
}

/** Leaves out what is on the disk already. */
export async function needed(place: DiskPlace, changes: readonly Change[]): Promise<Change[]> {
  const kept: Change[] = []
  for (const change of changes) if (!(await isDone(place, change))) kept.push(change)
  return kept
}

async function isDone(place: DiskPlace, change: Change): Promise<boolean> {
  if (change.do === 'folder') {
    const cut = change.name.lastIndexOf('/')
    const around = await place.list(cut < 0 ? '' : change.name.slice(0, cut))
    return around.get(change.name.slice(cut + 1)) === 'folder'
  }
  return change.do === 'write' && (await holds(place, change.name, change.bytes))
}

/** The files that do not read back as they were written: the disk is broken, or was pulled. */
export async function readBack(place: DiskPlace, changes: readonly Change[]): Promise<string[]> {
  const wrong: string[] = []
  for (const change of changes) {
    if (change.do === 'write' && !(await holds(place, change.name, change.bytes))) wrong.push(change.name)
  }
  return wrong
}

async function holds(place: DiskPlace, name: string, bytes: Buffer): Promise<boolean> {
  // What is larger differs; what cannot be read is written anew.
  const is = await place.read(name, bytes.length).catch(() => undefined)
  return is?.equals(bytes) ?? false
}

/** Bytes that the changes take beside what is there: each file exists twice for a moment, in whole clusters. */
export function roomFor(changes: readonly Change[]): number {
  const cluster = 32 * 1024
  return changes.reduce((sum, change) => {
    if (change.do === 'write') return sum + Math.ceil((change.bytes.length + 1) / cluster) * cluster
    return change.do === 'folder' ? sum + cluster : sum
  }, 0)
}
