/** Makes a development key once, whoever else is making one at the same time. */
import { link, open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../errors.ts'
import { callerOf, giveToCaller } from './caller.ts'
import { issueDevelopmentKey } from './certificates.ts'
import { makeFolder, partName, replaceWithBytes, sweepParts, sync } from './replace-file.ts'

/**
 * Fills `folder` with `signing.key` (mode 0600), `signing.crt` and `ca.crt`, unless another process was faster.
 * Fails with E_INPUT if there is a certificate whose key is missing.
 */
export async function makeDevelopmentKey(
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
  now: Date,
): Promise<void> {
  const caller = callerOf(env)
  await makeFolder(folder, 0o700, caller)
  const files = {
    key: join(folder, 'signing.key'),
    chain: join(folder, 'signing.crt'),
    root: join(folder, 'ca.crt'),
  }
  // The key is looked for last: another process writes it first.
  if ((await exists(files.chain)) && !(await exists(files.key))) {
    throw new FleetsieError('E_INPUT', 'there is a certificate, but no signing.key beside it', {
      file: files.chain,
      hint: 'put the key back, or move the certificate away to have a development key made',
    })
  }
  await sweepParts(folder)
  const issued = await issueDevelopmentKey(now)
  const part = join(folder, partName())
  try {
    const file = await open(part, 'wx', 0o600)
    try {
      await file.writeFile(issued.key + issued.chain)
      await file.chmod(0o600)
      await file.sync()
    } finally {
      await file.close()
    }
    await giveToCaller(part, caller)
    // A link never replaces: of two processes, one wins, and both go on with its key.
    await link(part, files.key)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    throw error
  } finally {
    await rm(part, { force: true })
  }
  await sync(folder)
  await replaceWithBytes(files.chain, Buffer.from(issued.chain), { mode: 0o644, caller })
  await replaceWithBytes(files.root, Buffer.from(issued.root), { mode: 0o644, caller })
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
