/**
 * DSSE envelopes (secure-systems-lab/dsse, protocol.md and envelope.md 1.0.2). The signature is RSASSA-PKCS1-v1_5
 * with SHA-256 over the pre-authentication encoding; the key id is the sha256 of the key's SubjectPublicKeyInfo.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import * as v from 'valibot'
import { FleetsieError } from '../errors.ts'
import { sortedJson } from './json.ts'

export interface Envelope {
  payloadType: string
  payload: Buffer
  signatures: { keyid: string; sig: Buffer }[]
}

const maxBytes = 64 * 1024 * 1024
const base64 = v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/_-]*={0,2}$/))
/** A reader must ignore members that it does not know. */
const envelopeSchema = v.object({
  payloadType: v.string(),
  payload: base64,
  signatures: v.pipe(
    v.array(v.object({ keyid: v.optional(v.string(), ''), sig: base64 })),
    v.minLength(1),
    v.maxLength(100),
  ),
})

/** What is signed: type and payload with their lengths, so that neither can be taken for a part of the other. */
export function preAuthenticationEncoding(payloadType: string, payload: Buffer): Buffer {
  const type = Buffer.from(payloadType)
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${type.length} `),
    type,
    Buffer.from(` ${payload.length} `),
    payload,
  ])
}

/** sha256 in hex of the public key as SubjectPublicKeyInfo. */
export function keyId(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
}

/** Signs `payload` with an RSA key: the same bytes each time. */
export function signEnvelope(payloadType: string, payload: Buffer, key: KeyObject): string {
  const signature = sign('sha256', preAuthenticationEncoding(payloadType, payload), key)
  return sortedJson({
    payloadType,
    payload: payload.toString('base64'),
    signatures: [{ keyid: keyId(key), sig: signature.toString('base64') }],
  })
}

/** Reads an envelope without judging its signatures. Fails with E_DAMAGED. */
export function parseEnvelope(text: string): Envelope {
  if (text.length > maxBytes)
    throw new FleetsieError('E_DAMAGED', `a DSSE envelope of more than ${maxBytes} bytes`)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new FleetsieError('E_DAMAGED', 'the DSSE envelope is not JSON', { cause })
  }
  const result = v.safeParse(envelopeSchema, json)
  if (!result.success) {
    const place = v.getDotPath(result.issues[0]) ?? '(all)'
    throw new FleetsieError('E_DAMAGED', `the DSSE envelope is wrong at ${place}`)
  }
  const { payloadType, payload, signatures } = result.output
  return {
    payloadType,
    payload: Buffer.from(payload, 'base64'),
    signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig: Buffer.from(sig, 'base64') })),
  }
}

/** True if one of the envelope's signatures is by `key`. The key id is a hint only and proves nothing. */
export function verifyEnvelope(envelope: Envelope, key: KeyObject): boolean {
  if (key.asymmetricKeyType !== 'rsa') return false
  const signed = preAuthenticationEncoding(envelope.payloadType, envelope.payload)
  return envelope.signatures.some(({ sig }) => verify('sha256', signed, key, sig))
}
