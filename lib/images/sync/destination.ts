/** Where `--sync` sends to: USER@HOST, HOST or ssh://USER@HOST:PORT, as ssh takes it. */
import { FleetsieError } from '../../errors.ts'

const user = '[A-Za-z0-9_][A-Za-z0-9_.+\\-]*@'
const name = '[A-Za-z0-9_][A-Za-z0-9_.\\-]*'
/** An IPv6 address may name its interface. */
const address = '[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9_.\\-]+)?'
const forms = [
  new RegExp(`^(?:${user})?(?:${name}|${address})$`),
  new RegExp(`^ssh://(?:${user})?(?:${name}|\\[${address}\\])(?::[0-9]{1,5})?/?$`),
]

/**
 * Refuses with E_USAGE whatever is none of these forms: ssh would take a leading `-` for an option, and hands user and
 * host to the shell that runs a ProxyCommand.
 */
export function checkDestination(destination: string): string {
  if (destination.length <= 512 && forms.some((form) => form.test(destination))) return destination
  throw new FleetsieError('E_USAGE', `--sync ${JSON.stringify(destination)}: this names no device`, {
    hint: 'USER@HOST, HOST or ssh://USER@HOST:PORT; anything else belongs into ~/.ssh/config, under a Host of its own',
  })
}
