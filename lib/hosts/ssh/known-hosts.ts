/** The known_hosts files: read by `ssh-keygen -F`, which knows hashed names, patterns and markers; new keys appended. */
import { createHmac, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { lchown, mkdir, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { SshConfig } from './config.ts'
import type { HostKey } from './types.ts'

export interface KnownKey {
  marker: 'revoked' | 'cert-authority' | undefined
  type: string
  base64: string
  file: string
  /** From 1. */
  line: number
  /** The name that found it. */
  name: string
}

/**
 * What the files have for a host. One with a port of its own that is not listed is looked up without it as well, as
 * ssh does. Fails with E_IO for a file that cannot be read: what is in it may be a revocation.
 */
export async function knownKeys(run: Run, config: SshConfig): Promise<KnownKey[]> {
  const host = config.host.toLowerCase()
  const names = config.knownAs === `[${host}]:${config.port}` ? [config.knownAs, host] : [config.knownAs]
  const files: string[] = []
  for (const file of new Set(config.knownHosts)) {
    const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
      throw error
    })
    // /dev/null says "none".
    if (found && !found.isCharacterDevice()) files.push(file)
  }
  const [exact, portless = []] = await Promise.all(
    names.map(async (name) => (await Promise.all(files.map((file) => lookUp(run, name, file)))).flat()),
  )
  if (exact!.some(({ marker }) => marker === undefined)) {
    return [...exact!, ...portless.filter(({ marker }) => marker === 'revoked')]
  }
  return [...exact!, ...portless]
}

async function lookUp(run: Run, name: string, file: string): Promise<KnownKey[]> {
  const { stdout, stderr, exitCode } = await run('ssh-keygen', ['-F', name, '-f', file], {
    cwd: '/',
    okCodes: [0, 1, 255],
    timeout: 30_000,
  })
  if (exitCode === 255)
    throw new FleetsieError('E_IO', `known_hosts cannot be read: ${stderr.trim()}`, { file })
  const keys: KnownKey[] = []
  let line = 0
  for (const text of stdout.toString('latin1').split('\n')) {
    const number = /^# Host .* found: line ([0-9]+)/.exec(text)?.[1]
    if (number !== undefined) {
      line = Number(number)
      continue
    }
    const [, marker, type, base64] = /^(?:@(\S+)\s+)?\S+\s+(\S+)\s+(\S+)/.exec(text) ?? []
    if (type === undefined || base64 === undefined) continue
    if (marker !== undefined && marker !== 'revoked' && marker !== 'cert-authority') continue
    keys.push({ marker, type, base64, file, line, name })
  }
  return keys
}

/**
 * Adds a line for a host to the user's first file, hashed where ssh_config says so. What root makes in another's home, as
 * under sudo, belongs to whose home it is.
 */
export async function remember(config: SshConfig, key: HostKey): Promise<void> {
  const file = config.knownHosts[0]
  if (file === undefined || file === '/dev/null') return
  const name = config.hashKnownHosts ? hashed(config.knownAs) : config.knownAs
  const line = `${name} ${key.type} ${key.base64}\n`
  const folder = dirname(file)
  const made = await mkdir(folder, { recursive: true, mode: 0o700 })
  const { uid, gid } = await stat(made === undefined ? folder : dirname(made))
  const byRoot = process.geteuid?.() === 0
  for (let at = folder; byRoot && made !== undefined && at.length >= made.length; at = dirname(at)) {
    await lchown(at, uid, gid)
  }
  // One write at the end: whoever appends at the same time loses nothing, and nobody sees half a line.
  const { O_APPEND, O_CREAT, O_RDWR } = constants
  const handle = await open(file, O_RDWR | O_CREAT | O_APPEND, 0o600)
  try {
    const { size } = await handle.stat()
    if (byRoot && size === 0) await handle.chown(uid, gid)
    const last = Buffer.alloc(1)
    if (size > 0) await handle.read(last, 0, 1, size - 1)
    const ended = size === 0 || last[0] === 0x0a
    await handle.write(ended ? line : `\n${line}`)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The form of HashKnownHosts: `|1|salt|HMAC-SHA1(salt, name)`. */
function hashed(name: string): string {
  const salt = randomBytes(20)
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`
}
