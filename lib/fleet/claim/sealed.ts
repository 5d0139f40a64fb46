/**
 * Keys that the server makes for devices of the two-line form, and how the registry keeps the private half until
 * the device has surely got it: sealed under the clear OTP, which the server itself knows no more.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { newEd25519Key } from '../../formats/ed25519.ts'
import { privateKeyFile, publicKeyLine } from '../../formats/openssh-key.ts'

const cipher = 'aes-256-gcm'
const prefix = 'sealed:v1:'
const nonceBytes = 12
const tagBytes = 16

/** A new Ed25519 key: the public line, and the private file as OpenSSH reads it. */
export function makeKey(comment: string): { publicKey: string; privateKey: string } {
  const { seed, publicKey } = newEd25519Key()
  const check = randomBytes(4).readUInt32BE()
  return {
    publicKey: publicKeyLine(publicKey),
    privateKey: privateKeyFile({ seed, publicKey, comment, check }),
  }
}

/** `sealed:v1:NONCE:CIPHERTEXT`, in base64url; the tag is the end of the ciphertext. `place` is bound to it. */
export function seal(secret: string, otp: string, place: string): string {
  const nonce = randomBytes(nonceBytes)
  const encrypt = createCipheriv(cipher, keyOf(otp), nonce).setAAD(Buffer.from(place))
  const sealed = Buffer.concat([encrypt.update(secret), encrypt.final(), encrypt.getAuthTag()])
  return `${prefix}${nonce.toString('base64url')}:${sealed.toString('base64url')}`
}

/** What was sealed; undefined when it is blank, damaged, or was sealed for another OTP or place. */
export function unseal(text: string, otp: string, place: string): string | undefined {
  const [nonce, sealed] = text
    .slice(prefix.length)
    .split(':')
    .map((part) => Buffer.from(part, 'base64url'))
  if (!text.startsWith(prefix) || nonce?.length !== nonceBytes || !sealed || sealed.length < tagBytes) return
  const decrypt = createDecipheriv(cipher, keyOf(otp), nonce, { authTagLength: tagBytes })
  decrypt.setAAD(Buffer.from(place)).setAuthTag(sealed.subarray(-tagBytes))
  try {
    return Buffer.concat([decrypt.update(sealed.subarray(0, -tagBytes)), decrypt.final()]).toString()
  } catch {
    return undefined
  }
}

function keyOf(otp: string): Buffer {
  return Buffer.from(hkdfSync('sha256', otp, '', 'fleetsie sealed:v1', 32))
}
