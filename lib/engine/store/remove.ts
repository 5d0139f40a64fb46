/** Removes folders that stages and objects leave: read-only ones too, but never what is mounted there. */
import { chmod, lstat, readdir, readFile, rm } from 'node:fs/promises'
import { FleetsieError } from '../../errors.ts'

/** Removes `folder` with all that is in it. No harm when it is gone. Fails with E_IO below a mount point. */
export async function removeTree(folder: string): Promise<void> {
  if (!(await exists(folder))) return
  await refuseMounts(folder)
  try {
    await rm(folder, { recursive: true, force: true })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'EACCES' && code !== 'EPERM') throw error
    await makeWritable(Buffer.from(folder))
    await rm(folder, { recursive: true, force: true })
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

// Nobody but root deletes from a folder without the right to write it.
async function makeWritable(folder: Buffer): Promise<void> {
  await chmod(folder, 0o700)
  for (const entry of await readdir(folder, { withFileTypes: true, encoding: 'buffer' })) {
    // A name need not be UTF-8.
    if (entry.isDirectory()) await makeWritable(Buffer.concat([folder, Buffer.from('/'), entry.name]))
  }
}

// A bind mount that a killed stage left here leads to the user's own files.
async function refuseMounts(folder: string): Promise<void> {
  const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  for (const line of table.split('\n')) {
    const point = line
      .split(' ')[4]
      ?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
    if (point === undefined || (point !== folder && !point.startsWith(`${folder}/`))) continue
    throw new FleetsieError('E_IO', `something is still mounted at ${point}`, {
      file: folder,
      hint: `umount ${point}`,
    })
  }
}
