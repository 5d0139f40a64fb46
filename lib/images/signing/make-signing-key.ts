/** Makes a signing key once, whoever else is making one at the same time. */
import { existsSync } from 'node:fs'
import { link, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { type Caller, settle } from '../caller.ts'
import { makeFolder, partName, replaceWithBytes, sweepParts, sync } from '../replace-file.ts'
import { issueSigningKey } from './certificates.ts'

export interface KeyWish {
  /** What the certificates are called; `developmentName` for a key that nobody asked for. */
  name: string
  caller: Caller | undefined
  now: Date
}

/**
 * Fills `folder` with `signing.key` (mode 0600), `signing.crt` and `ca.crt`. False if there is a key already, which
 * stays. Fails with E_INPUT if there is a certificate whose key is missing.
 */
export async function makeSigningKey(folder: string, { name, caller, now }: KeyWish): Promise<boolean> {
  await makeFolder(folder, 0o700, caller)
  const files = {
    key: join(folder, 'signing.key'),
    chain: join(folder, 'signing.crt'),
    root: join(folder, 'ca.crt'),
  }
  // The key is looked for last: another process writes it first.
  const hasChain = existsSync(files.chain)
  if (existsSync(files.key)) return false
  if (hasChain) {
    throw new FleetsieError('E_INPUT', 'there is a certificate, but no signing.key beside it', {
      file: files.chain,
      hint: 'put the key back, or move the certificate away to have a development key made',
    })
  }
  await sweepParts(folder)
  const issued = await issueSigningKey(name, now)
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
    await settle(part, 0o600, caller)
    // A link never replaces: of two processes, one wins, and both go on with its key.
    await link(part, files.key)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(part, { force: true })
  }
  await sync(folder)
  await replaceWithBytes(files.chain, Buffer.from(issued.chain), { mode: 0o644, caller })
  await replaceWithBytes(files.root, Buffer.from(issued.root), { mode: 0o644, caller })
  return true
}
