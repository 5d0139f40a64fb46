/** Whether an ext filesystem may be edited, and whether it is sound: e2fsck judges. */
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { Creation, Diff } from '../tree/diff.ts'
import type { MergedNode } from '../tree/merged.ts'
import { shown } from '../volume.ts'
import { inodeFlags } from './inode.ts'
import type { ExtReader } from './reader.ts'
import { incompat, roCompat, type Superblock } from './superblock.ts'

const clean = 0x1
const withErrors = 0x2

/** The image that a stage edits is a copy of its own, which is gone when the hint is read. */
export function mendHint(offset: number): string {
  const device = offset === 0 ? 'IMAGE' : `IMAGE?offset=${offset}`
  return `unpack the stock image, mend it, and build from that: e2fsck -fy '${device}'`
}

/** Refuses what debugfs would edit wrongly or what the kernel would undo at the next mount. */
export function assertEditable(superblock: Superblock, what: string, offset: number): void {
  const damaged = (why: string): FleetsieError =>
    new FleetsieError('E_DAMAGED', `${what} ${why}`, { hint: mendHint(offset) })
  if (superblock.incompat & incompat.recover)
    throw damaged('was not unmounted cleanly: its journal has to be replayed')
  if (superblock.state & withErrors) throw damaged('is marked as having errors')
  if (!(superblock.state & clean)) throw damaged('was not unmounted cleanly')
  if (superblock.raw.readUInt32LE(0xe8) !== 0) throw damaged('has files that were deleted while open')
  const unsupported: [boolean, string][] = [
    [(superblock.incompat & incompat.journalDevice) !== 0, 'is an external journal'],
    [(superblock.incompat & incompat.mmp) !== 0, 'has multiple mount protection (mmp)'],
    [(superblock.roCompat & roCompat.quota) !== 0, 'keeps quotas, which debugfs does not update'],
    [(superblock.roCompat & roCompat.project) !== 0, 'keeps project quotas, which debugfs does not update'],
    [(superblock.roCompat & roCompat.sharedBlocks) !== 0, 'shares blocks between files and is read-only'],
  ]
  for (const [is, why] of unsupported) if (is) throw new FleetsieError('E_UNSUPPORTED', `${what} ${why}`)
}

/** `e2fsck -fn`; fails with `code` when it finds anything. `device` is relative to `tmp`. */
export async function fsckExt(
  run: Run,
  device: string,
  tmp: string,
  superblock: Superblock,
  fault: { code: 'E_DAMAGED' | 'E_STAGE'; what: string; hint?: string },
): Promise<void> {
  // e2fsck calls times in the future an error; the host's clock must not decide.
  const now = Math.max(superblock.writeTime, superblock.mountTime, superblock.checkTime, 1)
  const { stdout, stderr, exitCode } = await run('e2fsck', ['-fn', device], {
    cwd: tmp,
    env: { E2FSCK_TIME: `${now}`, E2FSCK_CONFIG: '/dev/null', E2FSPROGS_FAKE_TIME: `${now}` },
    okCodes: [0, 4, 8, 12],
  })
  if (exitCode === 0) return
  const said = `${stdout}\n${stderr}`
    .split('\n')
    .filter((text) => text !== '' && !/^(Pass \d|e2fsck [\d.]+)/.test(text))
    .slice(0, 10)
    .join('\n')
  if (exitCode & 8 && /unsupported feature/.test(said)) {
    throw new FleetsieError(
      'E_UNSUPPORTED',
      `${fault.what} has features that this e2fsprogs does not know:\n${said}`,
      {
        hint: 'install a newer e2fsprogs',
      },
    )
  }
  const details = fault.hint === undefined ? {} : { hint: fault.hint }
  throw new FleetsieError(fault.code, `${fault.what} does not pass e2fsck -fn:\n${said}`, details)
}

const maxLinks = 65_000

/** What only the whole diff shows. Fails with E_INPUT or E_UNSUPPORTED. */
export function assertPossible(reader: ExtReader, diff: Diff, what: string): void {
  for (const { id } of diff.folders) {
    if (reader.inode(id).flags & inodeFlags.casefold) {
      throw new FleetsieError(
        'E_UNSUPPORTED',
        `${what}: the folder with inode ${id} ignores case, which debugfs does not`,
      )
    }
  }
  const links = new Map<MergedNode, number>()
  const count = ({ name, node, below }: Creation): void => {
    links.set(node, (links.get(node) ?? 0) + 1)
    if (links.get(node)! > maxLinks)
      throw new FleetsieError('E_INPUT', `${shown(name)} is one of more than ${maxLinks} links to one file`)
    below.forEach(count)
  }
  for (const { creations } of diff.folders) creations.forEach(count)
}
