/** A signing key with its certificates, by node-forge; the keys themselves come from node:crypto. */
import { generateKeyPair, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { pki } from 'node-forge'
import { keyId } from '../../formats/dsse.ts'

type Forge = typeof import('node-forge')

const modulusLength = 3072
const years = 10

export interface Issued {
  /** PKCS#8, PEM. */
  key: string
  /** Leaf and root, PEM. The root's key is thrown away: nothing else can ever be signed by it. */
  chain: string
  root: string
}

interface Certificate {
  subject: string
  issuer: string
  publicKey: KeyObject
  issuerKey: KeyObject
  authority: boolean
}

/** Makes a root and, signed by it, a key for signing code and mail, RSA-3072, valid for ten years from yesterday. */
export async function issueSigningKey(name: string, now: Date): Promise<Issued> {
  const generate = promisify(generateKeyPair)
  const [root, leaf] = await Promise.all([
    generate('rsa', { modulusLength }),
    generate('rsa', { modulusLength }),
  ])
  // Roots of one name and different keys would be mistaken for each other.
  const issuer = `${name} root ${keyId(root.publicKey).slice(0, 8)}`
  const subject = `${name} ${keyId(leaf.publicKey).slice(0, 8)}`
  const common = { issuer, issuerKey: root.privateKey }
  const rootPem = await issue(
    { ...common, subject: issuer, publicKey: root.publicKey, authority: true },
    root,
    now,
  )
  const leafPem = await issue({ ...common, subject, publicKey: leaf.publicKey, authority: false }, root, now)
  return {
    key: leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    chain: leafPem + rootPem,
    root: rootPem,
  }
}

async function issue(one: Certificate, root: { publicKey: KeyObject }, now: Date): Promise<string> {
  const { pki } = await loadForge()
  const forgeKey = (key: KeyObject): pki.rsa.PublicKey =>
    pki.publicKeyFromPem(key.export({ type: 'spki', format: 'pem' }).toString())
  const certificate = pki.createCertificate()
  certificate.publicKey = forgeKey(one.publicKey)
  // A first digit from 1 to 7: the number is positive, and has no zeros before it.
  certificate.serialNumber = `4${randomBytes(16).toString('hex').slice(1)}`
  // Yesterday, for clocks that go slow.
  certificate.validity.notBefore = new Date(now.getTime() - 24 * 3600 * 1000)
  certificate.validity.notAfter = new Date(now.getTime())
  certificate.validity.notAfter.setUTCFullYear(now.getUTCFullYear() + years)
  certificate.setSubject([{ name: 'commonName', value: one.subject }])
  certificate.setIssuer([{ name: 'commonName', value: one.issuer }])
  const authorityKey = pki.getPublicKeyFingerprint(forgeKey(root.publicKey)).getBytes()
  certificate.setExtensions([
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: authorityKey },
    ...(one.authority ? authorityExtensions : signerExtensions),
  ])
  const { md } = await loadForge()
  const issuerKey = pki.privateKeyFromPem(one.issuerKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  certificate.sign(issuerKey, md.sha256.create())
  return pki.certificateToPem(certificate).replaceAll('\r', '')
}

const authorityExtensions = [
  { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
  { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
]
const signerExtensions = [
  { name: 'basicConstraints', critical: true, cA: false },
  { name: 'keyUsage', critical: true, digitalSignature: true },
  // Stock openssl accepts a CMS signature only by a certificate for mail.
  { name: 'extKeyUsage', codeSigning: true, emailProtection: true },
]

/** node-forge as an ES module has all of itself in `default`. Loading it takes longer than a build with nothing to do may. */
async function loadForge(): Promise<Forge> {
  const module = (await import('node-forge')) as Forge & { default?: Forge }
  return module.default ?? module
}
