import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { detachedSignature } from '../../../lib/formats/cms.ts'
import { makeKey, openssl } from '../../helpers/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-cms-'))
after(() => rmSync(folder, { recursive: true }))
const made = makeKey(join(folder, 'key'))
const key = createPrivateKey(made.key)
const chain = [new X509Certificate(made.leaf), new X509Certificate(made.root)] as const
const content = join(folder, 'content')
const signature = join(folder, 'content.p7s')
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest()

/** Line ends of every kind, which openssl changes unless it is told that content is binary. */
const bytes = Buffer.from('a\nb\r\nc\rd\0\xff', 'latin1')

function hasCerttool(): false | string {
  try {
    execFileSync('certtool', ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'certtool (Debian: gnutls-bin) is not installed'
  }
}

async function sign(): Promise<Buffer> {
  const der = detachedSignature(sha256(bytes), chain, key)
  writeFileSync(content, bytes)
  writeFileSync(signature, der)
  return der
}

const verify = () =>
  openssl(
    'cms',
    '-verify',
    '-binary',
    '-inform',
    'DER',
    '-in',
    signature,
    '-content',
    content,
    '-CAfile',
    made.rootFile,
    '-out',
    '/dev/null',
  )

test('stock openssl accepts the signature, and refuses it for another content', async () => {
  await sign()
  verify()
  writeFileSync(content, `${bytes}x`)
  assert.throws(verify, /digest failure|verification failure/i)
})

test('gnutls accepts the signature', { skip: hasCerttool() }, async () => {
  await sign()
  const args = ['--p7-verify', '--inder', '--infile', signature, '--load-data', content]
  execFileSync('certtool', [...args, '--load-ca-certificate', made.rootFile], { stdio: 'pipe' })
})

test('the same key and content give the same bytes', async () => {
  assert.deepEqual(await sign(), await sign())
})

test('it is DER, with type and digest as the only signed attributes, no time, and the whole chain', async () => {
  const der = await sign()
  const print = openssl('cms', '-cmsout', '-print', '-inform', 'DER', '-in', signature)
  assert.match(print, /contentType \(1\.2\.840\.113549\.1\.9\.3\)/)
  assert.match(print, /messageDigest \(1\.2\.840\.113549\.1\.9\.4\)/)
  assert.equal(print.match(/^ {12}object:/gm)?.length, 2)
  assert.doesNotMatch(print, /signingTime/)
  assert.match(print, /eContent: \n? *<ABSENT>/)
  const certificates = openssl('pkcs7', '-inform', 'DER', '-in', signature, '-print_certs')
  assert.match(certificates, /CN = Test signer/)
  assert.match(certificates, /CN = Test root/)
  // What openssl reads and writes again stays as it is only if it was DER.
  const again = join(folder, 'again')
  openssl('cms', '-cmsout', '-inform', 'DER', '-in', signature, '-outform', 'DER', '-out', again)
  assert.equal(execFileSync('cmp', [signature, again]).length, 0)
  assert.ok(der.length > 1000)
})

test('a certificate of version 1 is named by its issuer and serial as well', async () => {
  const file = (name: string) => join(folder, name)
  writeFileSync(file('empty.cnf'), '[req]\ndistinguished_name=n\n[n]\n')
  openssl(
    'req',
    '-new',
    '-key',
    made.keyFile,
    '-subj',
    '/CN=Old',
    '-config',
    file('empty.cnf'),
    '-out',
    file('old.csr'),
  )
  openssl(
    'x509',
    '-req',
    '-in',
    file('old.csr'),
    '-signkey',
    made.keyFile,
    '-days',
    '3',
    '-out',
    file('old.crt'),
  )
  assert.match(openssl('x509', '-in', file('old.crt'), '-noout', '-text'), /Version: 1/)
  const old = new X509Certificate(execFileSync('cat', [file('old.crt')]))
  writeFileSync(content, bytes)
  writeFileSync(signature, detachedSignature(sha256(bytes), [old], key))
  openssl(
    'cms',
    '-verify',
    '-binary',
    '-inform',
    'DER',
    '-in',
    signature,
    '-content',
    content,
    '-noverify',
    '-out',
    '/dev/null',
  )
})

test('a digest of another length is a fault of the caller', async () => {
  assert.throws(() => detachedSignature(Buffer.alloc(20), chain, key), { code: 'E_BUG' })
})
