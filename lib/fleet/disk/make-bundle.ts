/** What the stage `usb-bundle` does: the secret-free tree of a disk. */
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BuildContext } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { ProjectFiles } from '../../images/customize/project-files.ts'
import { fatEntryChecker } from '../../images/fat/names.ts'
import { ownBundle } from './bundle.ts'
import { names } from './layout.ts'

/** Fails with E_INPUT for what a FAT cannot hold, and with E_UNSAFE for a private key. */
export async function makeBundle(
  { out, tmp, sources }: Pick<BuildContext<unknown>, 'out' | 'tmp' | 'sources'>,
  customize: string | undefined,
): Promise<void> {
  for (const { name, bytes, executable } of await ownBundle()) {
    await writeFile(join(out, name), bytes, { mode: executable ? 0o755 : 0o644 })
  }
  await mkdir(join(out, names.customize))
  const check = fatEntryChecker()
  const unsaid = { uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map<string, Buffer>() }
  const project = new ProjectFiles(sources, { files: customize })
  for (const { path, mode, content } of await project.files(join(tmp, 'customize'))) {
    if (!('from' in content)) {
      throw new FleetsieError('E_INPUT', `${customize}/${path} is a link, which a FAT cannot hold`, {
        hint: 'put the file itself there',
      })
    }
    check({ ...unsaid, type: 'file', path, mode, size: content.size })
    const to = join(out, names.customize, path)
    await mkdir(dirname(to), { recursive: true })
    await copyFile(content.from, to)
    await chmod(to, mode)
  }
}
