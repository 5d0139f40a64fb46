/** What Linux takes for a host name, a user name and the rest. Each fails with E_INPUT, and shows no secret. */
import { FleetsieError } from '../../errors.ts'
import { privateKeyFinder } from '../overlay/private-keys.ts'

const fail = (message: string, hint?: string): FleetsieError =>
  new FleetsieError('E_INPUT', message, hint === undefined ? {} : { hint })

/** RFC 1123, section 2.1; HOST_NAME_MAX of Linux is 64. */
export function checkHostname(text: string): string {
  const labels = text.split('.')
  const good = labels.every((label) => /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label))
  if (good && text.length <= 64 && labels[0]!.toLowerCase() !== 'localhost') return text
  throw fail(
    `${JSON.stringify(text)} is no host name`,
    'a host name has up to 64 letters, digits and hyphens, dots between its labels, and no hyphen at an end of one',
  )
}

/** useradd(8) of shadow-utils as Debian builds it, without what it calls discouraged. */
export function checkUser(text: string): string {
  if (/^[a-z_][a-z0-9_-]{0,31}$/.test(text)) return text
  throw fail(
    `${JSON.stringify(text)} is no user name`,
    'it begins with a small letter or `_`; small letters, digits, `-` and `_` follow, 32 in all',
  )
}

/** What `openssl passwd -6` takes as it is: it cuts off what is longer than 256 bytes. */
export function checkPassword(bytes: Buffer): Buffer {
  if (bytes.length > 256) throw fail(`it has ${bytes.length} bytes; 256 is the limit`)
  if (hasControls(bytes)) throw fail('it has a line break or another control character')
  return bytes
}

/** IEEE 802.11: any 1 to 32 bytes. */
export function checkSsid(bytes: Buffer): Buffer {
  if (bytes.length >= 1 && bytes.length <= 32) return bytes
  throw fail(`a network's name has 1 to 32 bytes; this has ${bytes.length}`)
}

/** A passphrase of 8 to 63 bytes without control characters, or a key of 64 hex digits: wpa_supplicant's config.c. */
export function checkWifiPassword(bytes: Buffer): Buffer {
  if (isRawKey(bytes)) return bytes
  if (bytes.length < 8 || bytes.length > 63) {
    throw fail(`a Wi-Fi password has 8 to 63 bytes, or 64 hex digits; this has ${bytes.length} bytes`)
  }
  if (hasControls(bytes)) throw fail('it has a line break or another control character')
  return bytes
}

/** Whether a Wi-Fi password is the key itself. */
export function isRawKey(bytes: Buffer): boolean {
  return /^[0-9A-Fa-f]{64}$/.test(bytes.toString('latin1'))
}

/** ISO 3166-1 alpha-2; which of them are countries the regulatory database knows. */
export function checkCountry(text: string): string {
  if (/^[A-Za-z]{2}$/.test(text)) return text.toUpperCase()
  throw fail(`${JSON.stringify(text)} is no country`, 'two letters are needed, for example CA')
}

/** The form of a name in the tz database; whether the image has it is seen there. */
export function checkTimezone(text: string): string {
  if (/^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+){0,2}$/.test(text) && text.length <= 64) return text
  throw fail(`${JSON.stringify(text)} is no time zone`, 'for example America/Halifax, or UTC')
}

const keyTypes = [
  'ssh-ed25519',
  'ssh-rsa',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
]
const maxKeys = 100

/** The lines of authorized_keys (sshd(8)) in `bytes`, without comments and empty ones. A private key is refused unseen. */
export function checkSshKeys(bytes: Buffer): string[] {
  if (privateKeyFinder()(bytes)) {
    throw new FleetsieError('E_UNSAFE', 'this is a private key, which no other machine may have', {
      hint: 'give the public half: the file beside it that ends in .pub',
    })
  }
  const lines = bytes
    .toString('utf8')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  if (lines.length > maxKeys) throw fail(`${lines.length} keys; ${maxKeys} is the limit`)
  if (lines.length === 0) throw fail('it holds no key')
  for (const [index, line] of lines.entries()) {
    if (!isKeyLine(line)) {
      throw fail(
        lines.length === 1 ? 'it is no public ssh key' : `its key ${index + 1} is no public ssh key`,
        `such a line is \`ssh-ed25519 AAAA… comment\`; known kinds are ${keyTypes.join(', ')}`,
      )
    }
  }
  return lines
}

/** `options type base64 comment`; blanks in options only between quotes. */
function isKeyLine(line: string): boolean {
  if (hasControls(Buffer.from(line.replaceAll('\t', ' ')))) return false
  const found =
    /^(?:((?:[^\s"]|"(?:[^"\\]|\\.)*")+)\s+)?([a-z0-9@.-]+)\s+([A-Za-z0-9+/]+={0,2})(?:\s|$)/.exec(line)
  const type = found?.[2] ?? ''
  return keyTypes.includes(type) && isKeyBlob(Buffer.from(found![3]!, 'base64'), type)
}

/** RFC 4253, section 6.6: strings with their lengths, the first of them the type. */
function isKeyBlob(blob: Buffer, type: string): boolean {
  const parts: Buffer[] = []
  for (let at = 0; at < blob.length; ) {
    if (at + 4 > blob.length) return false
    const length = blob.readUInt32BE(at)
    if (at + 4 + length > blob.length) return false
    parts.push(blob.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  if (parts[0]?.toString('latin1') !== type) return false
  if (type === 'ssh-ed25519') return parts.length === 2 && parts[1]!.length === 32
  // sshd refuses less than 1024 bits.
  if (type === 'ssh-rsa') return parts.length === 3 && parts[2]!.length >= 128
  if (type === 'sk-ssh-ed25519@openssh.com') return parts.length === 3 && parts[1]!.length === 32
  if (type.startsWith('sk-')) return parts.length === 4
  return parts.length === 3
}

function hasControls(bytes: Buffer): boolean {
  return bytes.some((byte) => byte < 0x20 || byte === 0x7f)
}
