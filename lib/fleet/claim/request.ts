/** What a device asks of the forced command, in either form. Decides nothing. */
import { canonicalPublicKey } from '../../formats/openssh-key.ts'
import { hwidPattern } from '../names.ts'

export interface ClaimRequest {
  /** A MAC address in lower case. */
  hwid: string
  /** As it was sent: what it is worth, the registry knows. */
  otp: string
  /** `ssh-ed25519 BASE64` that the device made; undefined in the two-line form, which wants one made here. */
  key: string | undefined
}

/** Why a request is answered with `Error` before anything is looked up. */
export interface Unreadable {
  error: string
}

const invalidHwid: Unreadable = { error: 'invalid hardware ID' }

/** Bytes of a request. One of ours has 400. */
export const maxRequest = 16 * 1024

/**
 * The request in `text`, which is all that a device said. A first line `fleetsie 2` begins our own form, any other one the
 * two lines HWID and OTP.
 */
export function parseRequest(text: string): ClaimRequest | Unreadable {
  if (text.length > maxRequest) return { error: `a request has at most ${maxRequest} bytes` }
  const [first = '', ...lines] = text.split('\n')
  // After the last newline there is no line; where it was lost, that is forgiven.
  if (lines.at(-1) === '') lines.pop()
  const version = /^fleetsie ([0-9]{1,9})[ \r]*$/.exec(first)?.[1]
  if (version === undefined) return twoLines(first, lines[0] ?? '')
  if (Number(version) !== 2) return { error: `this server speaks fleetsie 2, not ${version}` }
  return keysAndValues(lines)
}

function twoLines(first: string, second: string): ClaimRequest | Unreadable {
  const hwid = onlyPlain(first).toLowerCase()
  if (!hwidPattern.test(hwid)) return invalidHwid
  return { hwid, otp: onlyPlain(second), key: undefined }
}

/** What the older tool did to both lines. */
function onlyPlain(line: string): string {
  return line.replace(/[^A-Za-z0-9:_]/g, '')
}

function keysAndValues(lines: readonly string[]): ClaimRequest | Unreadable {
  const values = new Map<string, string>()
  for (const line of lines) {
    const text = line.trim()
    if (text === '') return complete(values)
    const [, key, value] = /^([A-Za-z0-9_-]{1,40}):(.*)$/.exec(text) ?? []
    if (key === undefined || value === undefined) return { error: 'a line is not of the form `key: value`' }
    if (values.has(key)) return { error: `${key} is given twice` }
    values.set(key, value.trim())
  }
  return { error: 'the request ends before its empty line' }
}

function complete(values: ReadonlyMap<string, string>): ClaimRequest | Unreadable {
  const hwid = (values.get('hwid') ?? '').toLowerCase()
  if (!hwidPattern.test(hwid)) return invalidHwid
  const key = canonicalPublicKey(values.get('key') ?? '')
  if (key === undefined) return { error: 'invalid public key' }
  return { hwid, otp: values.get('otp') ?? '', key }
}
