/** The public keys of whoever runs this, as lines for an authorized_keys. */
import { readFile, stat } from 'node:fs/promises'
import { FleetsieError, inFile } from '../errors.ts'
import { readConfig } from './ssh/config.ts'
import { parseDestination } from './ssh/destination.ts'
import { findIdentities } from './ssh/identities.ts'
import { openSsh } from './ssh/openssh.ts'
import type { ConnectOptions } from './ssh/types.ts'

/** OpenSSH's largest keys have 12 KB. */
const maxFile = 64 * 1024

/**
 * Those that ssh would offer to this destination, in its order: of the agent, of ssh_config, of ~/.ssh. Fails with
 * E_INPUT when there is none.
 */
export async function offeredKeys(
  destination: string,
  { env, signal, prompts }: Pick<ConnectOptions, 'env' | 'signal' | 'prompts'>,
): Promise<[string, ...string[]]> {
  const config = await readConfig(openSsh(env, signal), parseDestination(destination), env)
  const { offered } = await findIdentities(config, prompts)
  const [first, ...others] = offered.map(({ publicKey }) =>
    [publicKey.type, publicKey.getPublicSSH().toString('base64'), comment(publicKey.comment)]
      .join(' ')
      .trim(),
  )
  if (first !== undefined) return [first, ...others]
  throw new FleetsieError('E_INPUT', 'you have no ssh key that could be let in as fleetsie', {
    hint: 'make one with `ssh-keygen -t ed25519`, or name a public key with --key FILE',
  })
}

/** The only key of a .pub file, as its line. Fails with E_INPUT. */
export async function keyInFile(file: string): Promise<string> {
  const text = await inFile(file, async () => {
    const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    if (!found?.isFile()) throw new FleetsieError('E_INPUT', 'there is no such file')
    if (found.size > maxFile) throw new FleetsieError('E_INPUT', 'this is no public key: it is too long')
    return readFile(file, 'utf8')
  })
  if (text.includes('PRIVATE KEY')) {
    throw new FleetsieError('E_INPUT', 'this is a private key', {
      file,
      hint: `name its public half: ${file}.pub`,
    })
  }
  const lines = text.split(/\r?\n/).filter((line) => /^[^#\s]/.test(line))
  if (lines.length === 1) return lines[0]!.trim()
  throw new FleetsieError('E_INPUT', 'this is no file with one public key', { file })
}

function comment(text: string | undefined): string {
  return (text ?? '').replace(/[^\w.@+ -]/g, '').slice(0, 100)
}
