/** From the word on the command line to the disk: a folder, a partition, or a file that holds a filesystem. */
import { lstat, mkdir, open, readFile, rmdir, stat, statfs } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { callerOf } from '../../images/caller.ts'
import { inspectCard, type Role } from '../../images/cards/inspect.ts'
import { refuse } from '../../images/cards/refuse.ts'
import { unmountCard } from '../../images/cards/unmount.ts'
import type { CardInfo } from '../../images/devices/types.ts'
import { alone } from './alone.ts'
import { fatPlace } from './fat.ts'
import { folderPlace } from './folder.ts'
import type { DiskPlace } from './place.ts'

interface FindOptions {
  /** Relative names of files count from here. */
  cwd: string
  allowed: { unmount?: boolean | undefined; yesReally?: boolean | undefined }
  run: Run
  env: Readonly<Record<string, string | undefined>>
}

/**
 * Opens what the disk is to be on: `/folder`, `sda1`, `disk/by-id/…`, `./file.img`. Fails with E_INPUT (exit code 1) where
 * it is not there, holds no filesystem or cannot be written, and with E_UNSAFE for a disk that must not be written, or that
 * another process writes. Nothing is changed on it.
 */
export async function findDisk(name: string, options: FindOptions): Promise<DiskPlace> {
  if (name.startsWith('/')) return openFolder(name, name, options)
  const info = await look(name, options.cwd)
  const role: Role = info.kind === 'disk' && info.partitions.length === 0 ? 'disk' : 'partition'
  const through = options.allowed.unmount ? undefined : await mountPoint(info)
  // What is mounted is written where it is mounted, not behind the back of the system that has it.
  refuse(through === undefined ? info : { ...info, mounts: [], holders: [] }, role, options.allowed)
  const medium = { id: info.id, name }
  if (through?.startsWith(ownMounts)) {
    return alone(medium, (release) => openMounted(through, name, options, release))
  }
  if (through !== undefined) return openFolder(through, name, options)
  if (info.mounts.length > 0) await unmountCard(info, options.run)
  await expectAccess(info)
  const { filesystem } = info.content
  if (filesystem === 'vfat') return alone(medium, (release) => fatPlace(info.path, info.name, release))
  if (filesystem === null) {
    throw new FleetsieError('E_INPUT', `${name} holds no filesystem`, { hint: remedyFor(info) })
  }
  return alone(medium, (release) => mounted(info, filesystem, options, release))
}

/** Without it a device looks as if nothing was on it. */
async function expectAccess({ name, path }: CardInfo): Promise<void> {
  const device = await open(path, 'r+').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EACCES' && cause.code !== 'EPERM') throw cause
    throw new FleetsieError('E_RIGHTS', `this user may not write ${name}`, {
      hint: 'use sudo; or let your desktop mount it, and name it again',
      cause,
    })
  })
  await device.close()
}

/** Nobody shall make a filesystem over partitions that are there. */
function remedyFor({ partitions, path, kind }: CardInfo): string {
  if (partitions.length === 0) return `make one: mkfs.vfat ${path}`
  const names = partitions.flatMap(({ name }) => name ?? [])
  if (names.length > 0) return `name a partition: ${names.join(', ')}`
  const command = kind === 'file' ? `losetup -fP --show ${path}` : `partprobe ${path}`
  return `it has partitions, which \`${command}\` gives names to: name one of them`
}

/** As `inspectCard`, with the exit code that is documented for what cannot be a disk at all. */
async function look(name: string, cwd: string): Promise<CardInfo> {
  const info = await inspectCard(name, { cwd, role: 'partition' }).catch((cause: unknown) => {
    if (!(cause instanceof FleetsieError) || cause.code !== 'E_UNSAFE') throw cause
    throw new FleetsieError('E_INPUT', cause.message, { ...(cause.hint && { hint: cause.hint }), cause })
  })
  if (info.readOnly || info.size === 0) {
    throw new FleetsieError('E_INPUT', `${name} ${info.readOnly ? 'is read-only' : 'is empty'}`, {
      hint: 'slide the lock of the card, or take another',
    })
  }
  return info
}

async function openFolder(path: string, name: string, { env }: FindOptions): Promise<DiskPlace> {
  const device = path === name && (await lstat(path).catch(() => undefined))
  if (device !== false && device?.isBlockDevice()) {
    throw new FleetsieError('E_INPUT', `${path} is a device; what begins with / is a folder here`, {
      hint: `name it without /dev/: ${path.replace(/^\/dev\//, '')}`,
    })
  }
  const hasPermissions = await keepsPermissions(path)
  // Of a file on FAT nobody becomes the owner.
  const caller = hasPermissions ? callerOf(env) : undefined
  const stats = await stat(path).catch(() => undefined)
  const id = stats ? `${stats.dev}-${stats.ino}` : path
  return alone({ id, name }, (unlock) =>
    folderPlace(path, { name, hasPermissions, caller, release: async () => unlock() }),
  )
}

/** Linux, include/uapi/linux/magic.h and the filesystems' own: msdos and vfat, exfat, ntfs3, fuseblk. */
const withoutOwners = new Set([0x4d44, 0x2011bab0, 0x7366746e, 0x65735546])

async function keepsPermissions(path: string): Promise<boolean> {
  const found = await statfs(path).catch(() => undefined)
  return found === undefined || !withoutOwners.has(found.type)
}

/** Where all of the filesystem is mounted, for us to see. proc_pid_mountinfo(5): field 3 device, 4 root, 5 mount point. */
async function mountPoint({ id, kind }: CardInfo): Promise<string | undefined> {
  if (kind === 'file') return undefined
  const text = await readFile('/proc/self/mountinfo', 'utf8')
  for (const line of text.split('\n')) {
    const [, , device, root, at] = line.split(' ')
    if (device === id && root === '/' && at !== undefined) {
      return at.replace(/\\([0-7]{3})/g, (_, digits: string) =>
        String.fromCharCode(Number.parseInt(digits, 8)),
      )
    }
  }
  return undefined
}

/** Where `mounted` mounts. */
const ownMounts = '/run/fleetsie-disk-'

/** By the kernel, at a place of its own: what a killed run leaves mounted there, the next one finds mounted. */
async function mounted(
  info: CardInfo,
  filesystem: string,
  options: FindOptions,
  unlock: () => void,
): Promise<DiskPlace> {
  const { name, path, kind } = info
  if (process.geteuid?.() !== 0) {
    throw new FleetsieError('E_RIGHTS', `to mount ${name} (${filesystem}), root is needed`, {
      hint: 'use sudo, or let your desktop mount it',
    })
  }
  const at = ownMounts + basename(path).replace(/[^\w.-]/g, '_')
  await mkdir(at, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  const flags = ['-o', `nosuid,nodev,noexec,nosymfollow${kind === 'file' ? ',loop' : ''}`]
  await options.run('mount', ['-t', filesystem, ...flags, '--', path, at]).catch(async (cause: Error) => {
    await rmdir(at).catch(() => {})
    throw new FleetsieError('E_INPUT', `${name} (${filesystem}) cannot be mounted: ${cause.message}`, {
      hint: 'a provisioning disk is best FAT: mkfs.vfat',
      cause,
    })
  })
  return openMounted(at, name, options, unlock)
}

async function openMounted(
  at: string,
  name: string,
  { run }: FindOptions,
  unlock: () => void,
): Promise<DiskPlace> {
  const release = async (): Promise<void> => {
    try {
      await run('umount', ['--', at])
      await rmdir(at)
    } finally {
      unlock()
    }
  }
  try {
    const hasPermissions = await keepsPermissions(at)
    return await folderPlace(at, { name, hasPermissions, caller: undefined, release })
  } catch (error) {
    await release().catch(() => {})
    throw error
  }
}
