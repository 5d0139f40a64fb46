/** What of a desk is mounted now: the record says what was meant to be, the kernel what is. */
import { readFile, realpath, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { type DeskMount, type DeskRecord, type DeskState, readRecord } from './attachment.ts'
import { type Mount, mountsBelow } from './mount-info.ts'
import { overlaySource, tokenVariable } from './mount-programs.ts'
import { copyPlace } from './places.ts'
import { argumentsOf, listProcesses, startedWith } from './processes.ts'

/** A mount of the record that is there. */
export interface Standing {
  mount: DeskMount
  /** Absolute. */
  target: string
  /** Of a FUSE mount, when this user may see it. */
  daemon: number | undefined
  /** False: a FUSE mount whose daemon is gone. */
  alive: boolean
}

/** Look only while nobody else changes it: within withDeskLock. `status` may look at any time and see half of a change. */
export async function deskState(folder: string): Promise<DeskState> {
  let record: DeskRecord | undefined
  try {
    record = await readRecord(folder)
  } catch (error) {
    if (error instanceof FleetsieError && error.code === 'E_DAMAGED')
      return { is: 'stale', record: undefined }
    throw error
  }
  if (record === undefined) return { is: 'unmounted' }
  const standing = await standingMounts(folder, record)
  const whole = standing.length === record.mounts.length && standing.every(({ alive }) => alive)
  return { is: whole ? 'mounted' : 'stale', record }
}

/** Which mounts of the record stand, in the order of the record. A mount of somebody else at such a place is none. */
export async function standingMounts(folder: string, record: DeskRecord): Promise<Standing[]> {
  if (record.boot !== (await bootId())) return []
  const real = await realpath(folder)
  const mounts = await mountsBelow(real)
  const daemons = record.form === 'fuse' ? await daemonsOf(record) : new Map<string, number>()
  const standing: Standing[] = []
  for (const mount of record.mounts) {
    // The last one made at a place is the one that is seen there.
    const found = mounts.findLast(({ place }) => place === mount.target)
    if (!found) continue
    const target = join(real, mount.target)
    if (record.form === 'kernel') {
      if (await isOurs(found, mount, record)) standing.push({ mount, target, daemon: undefined, alive: true })
      continue
    }
    if (!found.type.startsWith('fuse.')) continue
    const daemon = daemons.get(mount.target)
    const closed = await answer(target)
    if (daemon !== undefined || closed !== undefined) {
      // Root sees every daemon, and is shut out of the mount all the same.
      const alive = daemon !== undefined || (closed === 'EACCES' && process.geteuid?.() !== 0)
      standing.push({ mount, target, daemon, alive })
    }
  }
  return standing
}

export async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
}

async function isOurs(
  found: Mount,
  { kind, target, offset, size }: DeskMount,
  record: DeskRecord,
): Promise<boolean> {
  switch (kind) {
    case 'overlay':
      return found.source === overlaySource(record.token)
    case 'bind':
      return found.root.endsWith(`/${copyPlace(Number(/\d+$/.exec(target)![0]))}`)
    case 'loop': {
      const device = /^\/dev\/(loop\d+)$/.exec(found.source)?.[1]
      if (device === undefined) return false
      const of = (name: string): Promise<string> =>
        readFile(`/sys/block/${device}/loop/${name}`, 'utf8').then(
          (text) => text.replace(/\n$/, ''),
          () => '',
        )
      if ((await of('offset')) !== `${offset}` || (await of('sizelimit')) !== `${size}`) return false
      // No such file: the image was deleted meanwhile, and the kernel says so behind its name.
      const file = await stat(await of('backing_file')).catch(() => undefined)
      return file === undefined || (file.ino === record.disk.inode && file.dev === record.disk.device)
    }
    default:
      return false
  }
}

/** The FUSE daemons of this attachment, by the place that they serve. */
async function daemonsOf({ token, mounts }: DeskRecord): Promise<Map<string, number>> {
  const daemons = new Map<string, number>()
  for (const pid of await listProcesses()) {
    if (!(await startedWith(pid, tokenVariable, token))) continue
    const target = (await argumentsOf(pid)).at(-1)
    if (target !== undefined && mounts.some((mount) => mount.target === target)) daemons.set(target, pid)
  }
  return daemons
}

/** What a mount point that does not let this user in says: ENOTCONN when its daemon is gone, EACCES when it is another user's. */
async function answer(path: string): Promise<'ENOTCONN' | 'EACCES' | undefined> {
  try {
    // Not stat, which the kernel may answer from what it remembers.
    await statfs(path)
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOTCONN' || code === 'EACCES' ? code : undefined
  }
}
