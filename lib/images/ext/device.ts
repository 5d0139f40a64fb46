/** How the tools of e2fsprogs are told which filesystem of a disk image is meant. */
import { symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/** Through a link of our own in `tmp`, where the tool has to run: libext2fs takes all behind a '?' in a name as options. */
export async function linkedDevice(disk: string, offset: number, tmp: string): Promise<string> {
  await symlink(resolve(disk), join(tmp, 'disk'))
  return offset === 0 ? 'disk' : `disk?offset=${offset}`
}
