/**
 * Where the signing key comes from: the environment, else files outside store and git, else a development key that is
 * made once. No error of this file quotes what it read.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { callerOf, configFolder } from '../caller.ts'
import { type Chain, checkChain, checkKey, developmentName, orderChain } from './signing-checks.ts'

export interface SigningKey {
  key: KeyObject
  /** Signer first, root last. */
  chain: Chain
  /** Everyone who trusts this key trusts a certificate that was made on some developer's machine. */
  development: boolean
  /** The variable or file that it came from, to be shown. */
  place: string
}

type Environment = Readonly<Record<string, string | undefined>>

const maxBytes = 1024 * 1024
const maxCertificates = 16
const certificatePattern = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** The key to sign with, made now if there is none. Fails with E_INPUT or E_UNSAFE. */
export async function signingKey(env: Environment = process.env, now = new Date()): Promise<SigningKey> {
  const found = await findSigningKey(env, now)
  if (found) return found
  const { makeSigningKey } = await import('./make-signing-key.ts')
  await makeSigningKey(await keyFolder(env), { name: developmentName, caller: callerOf(env), now })
  const made = await findSigningKey(env, now)
  if (!made) throw new FleetsieError('E_IO', 'the development key vanished while it was made')
  return made
}

/** The key to sign with, if there is one. */
export async function findSigningKey(env: Environment, now = new Date()): Promise<SigningKey | undefined> {
  const variables = { key: 'FLEETSIE_SIGNING_KEY', certificate: 'FLEETSIE_SIGNING_CERT' }
  const key = env[variables.key]
  const certificate = env[variables.certificate]
  if (key === undefined && certificate === undefined) return fromFolder(await keyFolder(env), now)
  for (const [name, value] of [
    [variables.key, key],
    [variables.certificate, certificate],
  ]) {
    if (value) continue
    // A secret that CI does not hand over is an empty string: no reason to sign with another key in silence.
    throw new FleetsieError('E_INPUT', `${name} is ${value === undefined ? 'not set' : 'empty'}`, {
      hint: `set ${variables.key} and ${variables.certificate} to PEM text, or neither of them`,
    })
  }
  return assemble(
    await textOf(key!, variables.key, true),
    await textOf(certificate!, variables.certificate, false),
    variables,
    now,
  )
}

/** Holds `signing.key`, `signing.crt` and `ca.crt`. */
export async function keyFolder(env: Environment): Promise<string> {
  return join(await configFolder(env), 'keys')
}

/** Sha256 of the signer's certificate, lower-case hex: what a signature's bytes depend on besides the content. */
export function fingerprint(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase()
}

async function fromFolder(folder: string, now: Date): Promise<SigningKey | undefined> {
  const places = { key: join(folder, 'signing.key'), certificate: join(folder, 'signing.crt') }
  const key = await readKeyFile(places.key, true)
  if (key === undefined) return undefined
  // A development key's file holds its certificates too, as one file can be put there at once and two cannot.
  const certificate = (await readKeyFile(places.certificate, false)) ?? key
  return assemble(key, certificate, places, now)
}

/** PEM text as it is; anything else is the name of a file with it. */
async function textOf(value: string, name: string, secret: boolean): Promise<string> {
  if (value.includes('-----BEGIN')) return value
  const text = value.includes('\n') ? undefined : await readKeyFile(value, secret).catch(rethrowExpected)
  if (text !== undefined) return text
  throw new FleetsieError('E_INPUT', `${name} is neither PEM text nor the name of a file with it`)
}

/** A value that is no file name may be a secret, which a system error would quote. */
function rethrowExpected(error: unknown): undefined {
  if (error instanceof FleetsieError) throw error
  return undefined
}

async function readKeyFile(path: string, secret: boolean): Promise<string | undefined> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!file) return undefined
  try {
    const { mode, size } = await file.stat()
    if (secret && (mode & 0o077) !== 0) {
      throw new FleetsieError('E_UNSAFE', 'a private key that others may read', {
        file: path,
        hint: `chmod 600 ${JSON.stringify(path)}, and think about who may have read it`,
      })
    }
    if (size > maxBytes)
      throw new FleetsieError('E_INPUT', `more than ${maxBytes} bytes of PEM`, { file: path })
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

function assemble(
  keyText: string,
  certificateText: string,
  places: { key: string; certificate: string },
  now: Date,
): SigningKey {
  const key = parseKey(keyText, places.key)
  checkKey(key, places.key)
  const chain = orderChain(parseCertificates(certificateText, places.certificate), key, places.certificate)
  checkChain(chain, now, places.certificate)
  return { key, chain, development: chain[0].subject.includes(developmentName), place: places.key }
}

function parseKey(text: string, place: string): KeyObject {
  try {
    return createPrivateKey(text)
  } catch {
    const encrypted = /ENCRYPTED/.test(text)
    // Without a cause: nobody promises that OpenSSL's message leaves the key out.
    throw new FleetsieError('E_INPUT', `${place} holds no private key in PEM that can be read`, {
      hint: encrypted
        ? 'it is encrypted: give it without a passphrase'
        : 'PKCS#8 or PKCS#1, RSA, 3072 bits or more',
    })
  }
}

function parseCertificates(text: string, place: string): X509Certificate[] {
  const blocks = text.slice(0, maxBytes).match(certificatePattern) ?? []
  if (blocks.length === 0 || blocks.length > maxCertificates) {
    throw new FleetsieError('E_INPUT', `${place} holds ${blocks.length} certificates in PEM`, {
      hint: `from 1 to ${maxCertificates}: the key's own, then those of its issuers up to the root`,
    })
  }
  return blocks.map((block) => {
    try {
      return new X509Certificate(block)
    } catch (cause) {
      throw new FleetsieError('E_INPUT', `${place} holds a damaged certificate`, { cause })
    }
  })
}
