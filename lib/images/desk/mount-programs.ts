/** Runs the programs that mount and unmount. All in the desk's folder, by relative names without any odd character. */
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { DeskMount, DeskRecord } from './attachment.ts'
import { copyPlace, imageLink, upperPlace, workPlace } from './places.ts'

/** In the environment of every program that mounts: so that what a crash left of them is known as ours. */
export const tokenVariable = 'FLEETSIE_DESK'

export interface Mounting {
  folder: string
  record: DeskRecord
  run: Run
}

/** In mountinfo. */
export const overlaySource = (token: string): string => `fleetsie-${token}`

/** Makes one mount. Fails with E_RIGHTS, E_UNSAFE or E_STAGE with what the program said. */
export async function makeMount({ folder, record, run }: Mounting, mount: DeskMount): Promise<void> {
  const [program, ...args] = command(record, mount)
  try {
    await run(program, args, { cwd: folder, env: { [tokenVariable]: record.token } })
  } catch (error) {
    throw explained(error, mount)
  }
}

function command(record: DeskRecord, { target, kind, offset, size }: DeskMount): [string, ...string[]] {
  const number = Number(/\d+$/.exec(target)![0])
  // What an image holds must give no rights on this machine.
  const safe = 'nosuid,nodev'
  switch (kind) {
    // -o loop: the device frees itself with its last user, even when all of us are killed. noload: no journal is replayed.
    case 'loop': {
      const options = `ro,noload,${safe},loop,offset=${offset},sizelimit=${size}`
      return ['mount', '-n', '-t', 'ext4', '-o', options, imageLink, target]
    }
    case 'bind':
      return ['mount', '-n', '-o', `bind,ro,${safe}`, copyPlace(number), target]
    case 'overlay': {
      // A lower file renamed or changed in its attributes only is a whole file in the upper folder: readers need no lower.
      const options = `${layers(number)},redirect_dir=off,metacopy=off,index=off,xino=auto,${safe}`
      return ['mount', '-n', '-t', 'overlay', '-o', options, overlaySource(record.token), target]
    }
    case 'fuse2fs': {
      // Whoever mounts reads all of it, as root would.
      const options = `ro,norecovery,fakeroot,offset=${offset},${safe}`
      return ['fuse2fs', '-o', options, imageLink, target]
    }
    case 'fuse-overlayfs': {
      const squash =
        record.uid === 0 ? '' : `squash_to_uid=${record.uid},squash_to_gid=${process.getegid!()},`
      const isOriginal = target !== `part_${number}`
      const over = isOriginal ? `lowerdir=${copyPlace(number)},ro` : layers(number)
      return ['fuse-overlayfs', '-o', `${squash}${over},${safe}`, target]
    }
  }
}

const layers = (number: number): string =>
  `lowerdir=original/part_${number},upperdir=${upperPlace(number)},workdir=${workPlace(number)}`

function explained(error: unknown, { target, kind }: DeskMount): unknown {
  if (!(error instanceof FleetsieError) || error.code !== 'E_STAGE') return error
  const { message } = error
  const fail = (code: 'E_RIGHTS' | 'E_UNSAFE' | 'E_INPUT', what: string, hint: string): FleetsieError =>
    new FleetsieError(code, `${target} cannot be mounted: ${what}\n${message}`, { hint, cause: error })
  if (/overlapping loop device/.test(message)) {
    return fail(
      'E_UNSAFE',
      'another loop device has the image',
      '`losetup -j IMAGE` shows it, `losetup -d` ends it',
    )
  }
  if (/permission denied|not permitted|must be superuser/i.test(message)) {
    return fail('E_RIGHTS', 'this user is not allowed to', 'run this with sudo, or outside of the container')
  }
  if (/unknown filesystem type/.test(message)) {
    return fail(
      'E_INPUT',
      'the kernel lacks a filesystem',
      'load the module, or run this without root: FUSE does as well',
    )
  }
  if (kind === 'overlay' && /wrong fs type|bad option/.test(message)) {
    return fail(
      'E_INPUT',
      'the filesystem of this folder cannot keep the changes of an overlay',
      'work in a folder on ext4, xfs, btrfs or tmpfs; `dmesg | tail` has the reason',
    )
  }
  return error
}

/** Ends the mount at `target`, absolute. Fails with E_STAGE when it is busy. */
export async function unmount(target: string, form: DeskRecord['form'], run: Run): Promise<void> {
  // Without -c a dead FUSE mount is asked for its name, and does not answer.
  const args =
    form === 'kernel' || process.geteuid?.() === 0 ? ['umount', '-n', '-c', '-i'] : ['fusermount3', '-u']
  await run(args[0]!, [...args.slice(1), '--', target], {})
}
