/** What ssh2 says, as one of our errors. */
import { FleetsieError } from '../../errors.ts'
import { printable } from '../../images/printable.ts'
import type { SshConfig } from './config.ts'
import { fingerprintOf, type Identities } from './identities.ts'

/** Text of the other side, as one line that steers nothing. */
const shown = (text: string): string => printable(Buffer.from(text.slice(0, 300)).toString('latin1'))

/** Why a connection did not come about. */
export function notConnected(
  name: string,
  config: SshConfig,
  error: Error & { level?: string; code?: unknown },
  identities: Identities,
  methods: readonly string[],
): FleetsieError {
  if (error instanceof FleetsieError) return error
  const what = error.message
  if (error.level === 'client-authentication') return notLetIn(name, config, identities, methods)
  if (/too many authentication failures/i.test(what)) {
    return new FleetsieError('E_RIGHTS', `${name}: too many keys were offered; ${offered(identities)}`, {
      hint: 'name the right one by IdentityFile, with IdentitiesOnly yes, in ssh_config',
      cause: error,
    })
  }
  if (/signature verification failed|Malformed signature|Wrong signature type/i.test(what)) {
    return new FleetsieError('E_VERIFY', `${name} shows a host key that it does not hold`, {
      hint: 'someone may be in between',
      cause: error,
    })
  }
  if (/no matching/i.test(what)) {
    return new FleetsieError(
      'E_IO',
      `${name}: no way to encrypt or to show a key that both sides know: ${shown(what)}`,
      {
        hint: 'update sshd there',
        cause: error,
      },
    )
  }
  if (/before handshake|identification|greeting/i.test(what)) {
    return new FleetsieError(
      'E_IO',
      `${name}: ${config.host} port ${config.port} closes without speaking ssh`,
      {
        hint: 'is that the port of sshd? A busy sshd does so too (MaxStartups): try again',
        cause: error,
      },
    )
  }
  return new FleetsieError('E_IO', `${name}: the connection broke: ${shown(what)}`, { cause: error })
}

/** Who was tried, and what else the other side would have taken. */
export function notLetIn(
  name: string,
  { user, identityFiles }: SshConfig,
  identities: Identities,
  methods: readonly string[],
  cause?: unknown,
): FleetsieError {
  const takes = methods.length > 0 ? `; it takes ${methods.map(shown).join(', ')}` : ''
  const none = identities.offered.length === 0
  return new FleetsieError('E_RIGHTS', `${name}: ${user} is not let in; ${offered(identities)}${takes}`, {
    hint: none
      ? `no key was found in the agent, nor as ${identityFiles.join(', ') || 'a file'}`
      : `\`ssh-copy-id ${name}\`, or load the right key with \`ssh-add\``,
    cause,
  })
}

function offered({ offered, skipped }: Identities): string {
  const keys = offered.map((key) => `${key.name} (${fingerprintOf(key)})`)
  const tried = keys.length > 0 ? `offered: ${keys.join(', ')}` : 'there was no key to offer'
  return skipped.length > 0 ? `${tried}; passed over: ${skipped.join(', ')}` : tried
}
