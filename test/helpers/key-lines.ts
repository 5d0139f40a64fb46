/** Reads lines of a fleet's authorized_keys back. */

export interface KeyLine {
  kind: 'disk' | 'device'
  fleet: string
  /** Of a disk. */
  lot?: string
  /** Of a device. */
  hostname?: string
  port?: number
  key: string
}

const form =
  /^command="\/home\/fleetsie\/fleetsie_(auth|login) ([^"]+)"(?:,[a-z-]+(?:="[^"]*")?)* (ssh-ed25519 [A-Za-z0-9+/]{68})(?: .*)?$/

/** Undefined for what sshd would not take, and for what is none of ours. */
export function parseKeyLine(line: string): KeyLine | undefined {
  const [, program, words = '', key] = form.exec(line) ?? []
  if (key === undefined) return undefined
  const [fleet = '', second = '', port] = words.split(' ')
  if (program === 'auth') return { kind: 'disk', fleet, lot: second, key }
  return { kind: 'device', fleet, hostname: second, port: Number(port), key }
}
