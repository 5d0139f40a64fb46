/** What ssh2 says, as one of our errors. */
import { FleetsieError } from '../../errors.ts'
import { printable } from '../../images/printable.ts'
import type { SshConfig } from './config.ts'
import type { Identities } from './identities.ts'

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
    return new FleetsieError(
      'E_RIGHTS',
      `${name} lets nobody in who offers so many keys (${identities.offered.length})`,
      {
        hint: 'name the right one by IdentityFile, with IdentitiesOnly yes, in ssh_config',
        cause: error,
      },
    )
  }
  if (/signature verification failed|Malformed signature|Wrong signature type/i.test(what)) {
    return new FleetsieError('E_VERIFY', `${name} shows a host key that it does not hold`, {
      hint: 'compare its host key on the machine itself: someone may be in between',
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
        hint: 'once more, for a busy sshd does so (MaxStartups), or the port that sshd has',
        cause: error,
      },
    )
  }
  return new FleetsieError('E_IO', `${name}: the connection broke: ${shown(what)}`, { cause: error })
}

/** Which keys were tried, and what else the other side would have taken. */
export function notLetIn(
  name: string,
  { user, identityFiles }: SshConfig,
  identities: Identities,
  methods: readonly string[],
  cause?: unknown,
): FleetsieError {
  const { offered, skipped } = identities
  const takes = methods.length > 0 ? `; it takes ${methods.map(shown).join(', ')}` : ''
  const tried =
    offered.length > 0 ? `offered: ${some(offered.map(({ name }) => name))}` : 'there was no key to offer'
  const find = `a key in the agent${identityFiles[0] === undefined ? '' : ` or as ${some(identityFiles)}`}`
  const other = offered.length > 0 ? `\`ssh-copy-id ${name}\`, or load the right key with \`ssh-add\`` : find
  return new FleetsieError('E_RIGHTS', `${name}: ${user} is not let in; ${tried}${takes}`, {
    hint: skipped.length > 0 ? `see to what was passed over: ${some(skipped)}` : other,
    cause,
  })
}

/** A few of them: an agent may have dozens. */
function some(names: readonly string[]): string {
  const rest = names.length - 2
  return names.slice(0, 2).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}
