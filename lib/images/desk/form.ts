/** By which means this user can mount an image. */
import { accessSync, constants, readFileSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { findTool } from '../../engine/tools.ts'
import { FleetsieError } from '../../errors.ts'
import type { Attachment } from './attachment.ts'
import { filesystemOf } from './mount-info.ts'

const packages = { fuse2fs: 'fuse2fs', 'fuse-overlayfs': 'fuse-overlayfs', fusermount3: 'fuse3' } as const

// Those that keep neither a deletion's mark nor an owner, or where the kernel takes no upper folder at all:
// Documentation/filesystems/overlayfs.rst, "Upper and lower", and ovl_dentry_remote.
const withoutOwners = /^(?:vfat|msdos|exfat|ntfs3?|fuseblk)$/
const noUpper = /^(?:overlay|aufs|nfs4?|cifs|smb3|9p|ecryptfs|ramfs|squashfs|erofs|fuse\..*)$/

/**
 * The kernel when this is root and may mount, else FUSE. Fails with E_TOOL or E_RIGHTS, naming what is missing, and with
 * E_INPUT when the filesystem that `folder` is on cannot keep the changes.
 */
export async function chooseForm(folder: string): Promise<Attachment['form']> {
  const form = mayMount() ? 'kernel' : 'fuse'
  if (form === 'fuse') {
    checkFuse()
    // fuse-overlayfs makes the path of its upper folder absolute, then splits it at colons, which no option prevents.
    if ((await realpath(folder)).includes(':')) {
      throw new FleetsieError('E_INPUT', 'without root, no folder whose path has a colon can be mounted in', {
        file: folder,
        hint: 'rename the folder, or run this with sudo',
      })
    }
  }
  const type = await filesystemOf(folder)
  if (withoutOwners.test(type) || (form === 'kernel' && noUpper.test(type))) {
    throw new FleetsieError('E_INPUT', `changes cannot be kept here: this folder is on ${type}`, {
      file: folder,
      hint: 'work in a folder on ext4, xfs, btrfs or tmpfs',
    })
  }
  return form
}

/** Root of a container may lack the right, or the loop devices. */
function mayMount(): boolean {
  if (process.geteuid?.() !== 0) return false
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  const sysAdmin = 1n << 21n
  return (BigInt(`0x${effective ?? '0'}`) & sysAdmin) !== 0n && mayUse('/dev/loop-control')
}

/** Whether chown and mknod do in part_N what they say: to root of this machine, or of a container with users of its own. */
export function keepsOwners(form: Attachment['form']): boolean {
  if (form === 'kernel') return true
  const mapped = Number(readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)[2])
  return process.geteuid?.() === 0 && mapped >= 65_536
}

function mayUse(device: string): boolean {
  try {
    accessSync(device, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

function checkFuse(): void {
  const missing = Object.keys(packages).filter((name) => findTool(name) === undefined)
  if (missing.length > 0) {
    const names = missing.map((name) => packages[name as keyof typeof packages]).join(' ')
    throw new FleetsieError(
      'E_TOOL',
      `to mount an image without root, ${missing.join(' and ')} must be installed`,
      {
        hint: `sudo apt-get install ${names}, or run this with sudo; \`fleetsie doctor\` says what is missing`,
      },
    )
  }
  if (!mayUse('/dev/fuse')) {
    throw new FleetsieError('E_RIGHTS', 'to mount an image without root, /dev/fuse is needed', {
      hint: 'allow it for everybody, as udev does: sudo chmod 666 /dev/fuse, or run this with sudo',
    })
  }
}
