/** What a device asks of the forced command, in either form, as bytes come in. Decides nothing. */
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

/**
 * The request in `text`, all that has come so far; undefined while more has to come. A first line `fleetsie 2`
 * begins our own form, any other one the two lines HWID and OTP. After the end of input (`ended`) never undefined.
 */
export function parseRequest(text: string, ended: boolean): ClaimRequest | Unreadable | undefined {
  const lines = text.split('\n')
  // What no newline has closed yet; a lost last newline is forgiven.
  const open = lines.pop()
  if (ended && open) lines.push(open)
  const first = lines.shift()
  if (first === undefined) return ended ? invalidHwid : undefined
  const version = /^fleetsie ([0-9]{1,9})[ \r]*$/.exec(first)?.[1]
  if (version === undefined) return twoLines(first, lines[0], ended)
  if (Number(version) !== 2) return { error: `this server speaks fleetsie 2, not ${version}` }
  return keysAndValues(lines, ended)
}

function twoLines(first: string, second: string | undefined, ended: boolean) {
  const hwid = onlyPlain(first).toLowerCase()
  if (!hwidPattern.test(hwid)) return invalidHwid
  if (second === undefined && !ended) return undefined
  return { hwid, otp: onlyPlain(second ?? ''), key: undefined }
}

/** What the older tool did to both lines. */
function onlyPlain(line: string): string {
  return line.replace(/[^A-Za-z0-9:_]/g, '')
}

function keysAndValues(lines: readonly string[], ended: boolean) {
  const values = new Map<string, string>()
  for (const line of lines) {
    const text = line.trim()
    if (text === '') return complete(values)
    const [, key, value] = /^([A-Za-z0-9_-]{1,40}):(.*)$/.exec(text) ?? []
    if (key === undefined || value === undefined) return { error: 'a line is not of the form `key: value`' }
    if (values.has(key)) return { error: `${key} is given twice` }
    values.set(key, value.trim())
  }
  return ended ? { error: 'the request ends before its empty line' } : undefined
}

function complete(values: ReadonlyMap<string, string>): ClaimRequest | Unreadable {
  const hwid = (values.get('hwid') ?? '').toLowerCase()
  if (!hwidPattern.test(hwid)) return invalidHwid
  const key = canonicalPublicKey(values.get('key') ?? '')
  if (key === undefined) return { error: 'invalid public key' }
  return { hwid, otp: values.get('otp') ?? '', key }
}
