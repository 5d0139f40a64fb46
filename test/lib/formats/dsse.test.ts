import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  keyId,
  parseEnvelope,
  preAuthenticationEncoding,
  signEnvelope,
  verifyEnvelope,
} from '../../../lib/formats/dsse.ts'

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
const type = 'application/vnd.in-toto+json'
const payload = Buffer.from('{"a": "ü"}\n')

test('encodes as the test vector of the specification says', () => {
  const encoded = preAuthenticationEncoding('http://example.com/HelloWorld', Buffer.from('hello world'))
  assert.equal(encoded.toString(), 'DSSEv1 29 http://example.com/HelloWorld 11 hello world')
})

test('counts bytes, not characters', () => {
  assert.equal(preAuthenticationEncoding('ü', Buffer.from('é')).toString(), 'DSSEv1 2 ü 2 é')
})

test('the signature holds, is the same each time, and openssl agrees', () => {
  const text = signEnvelope(type, payload, privateKey)
  assert.equal(signEnvelope(type, payload, privateKey), text)
  const envelope = parseEnvelope(text)
  assert.ok(verifyEnvelope(envelope, publicKey))
  assert.deepEqual(envelope.payload, payload)
  assert.equal(envelope.signatures[0]!.keyid, keyId(publicKey))

  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-dsse-'))
  try {
    writeFileSync(join(folder, 'pae'), preAuthenticationEncoding(type, payload))
    writeFileSync(join(folder, 'sig'), envelope.signatures[0]!.sig)
    writeFileSync(join(folder, 'pub'), publicKey.export({ type: 'spki', format: 'pem' }))
    const args = ['dgst', '-sha256', '-verify', 'pub', '-signature', 'sig', 'pae']
    assert.match(execFileSync('openssl', args, { cwd: folder, encoding: 'utf8' }), /Verified OK/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

const envelope = () => parseEnvelope(signEnvelope(type, payload, privateKey))
const tampered = [
  ['another key', () => verifyEnvelope(envelope(), other.publicKey)],
  ['another payload', () => verifyEnvelope({ ...envelope(), payload: Buffer.from('{}') }, publicKey)],
  ['another type', () => verifyEnvelope({ ...envelope(), payloadType: 'text/plain' }, publicKey)],
  [
    'a right key id over a wrong signature',
    () =>
      verifyEnvelope(
        { ...envelope(), signatures: [{ keyid: keyId(publicKey), sig: Buffer.alloc(256) }] },
        publicKey,
      ),
  ],
] as const
for (const [title, verified] of tampered) {
  test(`refuses ${title}`, () => assert.equal(verified(), false))
}

const broken: [string, string][] = [
  ['text that is no JSON', 'what'],
  ['an envelope without signatures', '{"payload":"","payloadType":"x","signatures":[]}'],
  ['a payload that is no base64', '{"payload":"ä","payloadType":"x","signatures":[{"sig":""}]}'],
  ['a list', '[]'],
]
for (const [title, text] of broken) {
  test(`refuses ${title}`, () => assert.throws(() => parseEnvelope(text), { code: 'E_DAMAGED' }))
}

test('ignores members that it does not know, and a missing key id', () => {
  const text = '{"payload":"YQ==","payloadType":"x","signatures":[{"sig":"","extra":1}],"more":2}'
  assert.equal(parseEnvelope(text).payload.toString(), 'a')
})
