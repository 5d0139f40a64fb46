/** The user's keys: those of the agent and those in files, in the order in which ssh offers them. */
import { readFile, stat } from 'node:fs/promises'
import ssh2, { type ParsedKey } from 'ssh2'
import { FleetsieError } from '../../errors.ts'
import { printable } from '../../images/printable.ts'
import type { SshConfig } from './config.ts'
import { encryptedPublicKey } from './private-key.ts'
import type { Prompts } from './types.ts'

/** A key to offer. What signs is asked for only when the other side has accepted the public half. */
export interface Identity {
  /** For messages: the file, or the comment that the agent has. */
  name: string
  publicKey: ParsedKey
  sign(data: Buffer, hash: string | undefined): Promise<Buffer>
}

export interface Identities {
  offered: Identity[]
  /** Keys that were passed over, with the reason. */
  skipped: string[]
}

/** A private key is smaller by far. */
const maxKeyFile = 1024 * 1024
const passphraseTries = 3

/** Keys of the agent that files name, then its others, then files: as ssh does. No failure: a key that is no good is skipped. */
export async function findIdentities(config: SshConfig, prompts: Prompts): Promise<Identities> {
  const skipped: string[] = []
  const files: (Identity | PublicOnly)[] = []
  for (const file of new Set(config.identityFiles)) {
    const found = await fromFile(file, prompts).catch((error: Error) => {
      skipped.push(`${file} (${error.message})`)
      return undefined
    })
    if (found) files.push(found)
  }
  const agent = await fromAgent(config.agent).catch((error: Error) => {
    skipped.push(`agent ${config.agent} (${error.message})`)
    return []
  })
  const inFiles = (key: Identity): boolean => files.some((file) => sameKey(file, key))
  const fromFiles = files.filter((file): file is Identity => 'sign' in file)
  const named = agent.filter(inFiles)
  const others = config.identitiesOnly ? [] : agent.filter((key) => !inFiles(key))
  const only = fromFiles.filter((file) => !agent.some((key) => sameKey(key, file)))
  return { offered: [...named, ...others, ...only], skipped }
}

type PublicOnly = Pick<Identity, 'name' | 'publicKey'>

const sameKey = (a: PublicOnly, b: PublicOnly): boolean =>
  a.publicKey.getPublicSSH().equals(b.publicKey.getPublicSSH())

async function fromAgent(socket: string | undefined): Promise<Identity[]> {
  if (socket === undefined) return []
  const agent = new ssh2.OpenSSHAgent(socket)
  const keys = await new Promise<ParsedKey[]>((resolve, reject) => {
    agent.getIdentities((error, found) => (error ? reject(error) : resolve((found ?? []) as ParsedKey[])))
  })
  return keys.map((publicKey) => ({
    name: `agent key ${printable(Buffer.from(publicKey.comment).toString('latin1'))}`,
    publicKey,
    sign: (data, hash) =>
      new Promise((resolve, reject) => {
        const options = hash === undefined ? {} : { hash: hash as 'sha256' | 'sha512' }
        agent.sign(publicKey, data, options, (error, signature) =>
          error || !signature ? reject(error ?? new Error('the agent does not sign')) : resolve(signature),
        )
      }),
  }))
}

/** Nothing where there is no such file. */
async function fromFile(file: string, prompts: Prompts): Promise<Identity | PublicOnly | undefined> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw error
  })
  // The file may be gone because the agent has it: its public half still says which one is meant.
  if (!found) return publicHalf(`${file}.pub`, file)
  if (!found.isFile() || found.size > maxKeyFile) throw new Error('no key')
  const bytes = await readFile(file)
  const parsed = ssh2.utils.parseKey(bytes)
  if (!(parsed instanceof Error) && !parsed.isPrivateKey()) return { name: file, publicKey: parsed }
  if (found.uid === process.getuid?.() && (found.mode & 0o077) !== 0) {
    throw new Error(`not used: others can read it; \`chmod 600 ${file}\``)
  }
  if (!(parsed instanceof Error)) {
    return { name: file, publicKey: parsed, sign: async (data, hash) => parsed.sign(data, hash) }
  }
  if (!/encrypted/i.test(parsed.message)) throw parsed
  const half = encryptedPublicKey(bytes) ?? (await publicHalf(`${file}.pub`, file))?.publicKey
  const publicKey = half ?? (await unlock(file, bytes, prompts))
  let unlocked: Promise<ParsedKey> | undefined
  return {
    ...{ name: file, publicKey },
    sign: async (data, hash) => {
      unlocked ??= half === undefined ? Promise.resolve(publicKey) : unlock(file, bytes, prompts)
      return (await unlocked).sign(data, hash)
    },
  }
}

async function publicHalf(path: string, name: string): Promise<PublicOnly | undefined> {
  const bytes = await readFile(path).catch(() => undefined)
  if (bytes === undefined || bytes.length > maxKeyFile) return undefined
  const publicKey = ssh2.utils.parseKey(bytes)
  return publicKey instanceof Error || publicKey.isPrivateKey() ? undefined : { name, publicKey }
}

async function unlock(file: string, bytes: Buffer, prompts: Prompts): Promise<ParsedKey> {
  for (let tries = 0; tries < passphraseTries; tries++) {
    const passphrase = await prompts.secret(`${tries > 0 ? 'That was wrong. ' : ''}Passphrase of ${file}: `)
    if (passphrase === '') break
    const key = ssh2.utils.parseKey(bytes, passphrase)
    if (!(key instanceof Error)) return key
  }
  throw new FleetsieError('E_RIGHTS', 'its passphrase was not given')
}
