/** `USER@HOST:PORT` as a user writes it, checked before any program sees it. */
import { FleetsieError } from '../../errors.ts'

export interface Destination {
  /** As it was given. */
  text: string
  user?: string
  host: string
  port?: number
}

/** Names in ssh_config, DNS names and IPv4 addresses. What a shell or a known_hosts line would read otherwise is not in here. */
const namePattern = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?$/
const addressPattern = /^(?=.*:)[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,32})?$/
const userPattern = /^[A-Za-z0-9_.][A-Za-z0-9_.@+-]{0,127}$/

/**
 * Reads `[USER@]HOST[:PORT]`; an IPv6 address with a port stands in brackets. Fails with E_USAGE for everything that
 * ssh, a shell or known_hosts could take for something else: blanks, options, controls, quotes.
 */
export function parseDestination(text: string): Destination {
  const at = text.lastIndexOf('@')
  const user = at < 0 ? undefined : text.slice(0, at)
  const [host, port] = splitPort(text.slice(at + 1))
  if (user !== undefined && !isUser(user)) throw refused(text, 'that is no user name')
  if (!isHost(host)) throw refused(text, 'that is no host name or address')
  if (port !== undefined && (!/^[1-9][0-9]{0,4}$/.test(port) || Number(port) > 65535)) {
    throw refused(text, 'a port is a number from 1 to 65535')
  }
  return {
    text,
    host,
    ...(user !== undefined && { user }),
    ...(port !== undefined && { port: Number(port) }),
  }
}

export const isHost = (text: string): boolean => namePattern.test(text) || addressPattern.test(text)

export const isUser = (text: string): boolean => userPattern.test(text)

function splitPort(text: string): [host: string, port: string | undefined] {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/s.exec(text)
  if (bracketed) return [bracketed[1]!, bracketed[2]]
  const colon = text.indexOf(':')
  // Two of them: an IPv6 address.
  if (colon < 0 || text.includes(':', colon + 1)) return [text, undefined]
  return [text.slice(0, colon), text.slice(colon + 1)]
}

function refused(text: string, what: string): FleetsieError {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text)
  return new FleetsieError('E_USAGE', `${shown}: ${what}`, {
    hint: 'write USER@HOST or USER@HOST:PORT, an IPv6 address with a port as [ADDRESS]:PORT',
  })
}
