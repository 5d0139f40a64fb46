import assert from 'node:assert/strict'
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import { detachedSignature } from '../../../../lib/formats/cms.ts'
import { signEnvelope } from '../../../../lib/formats/dsse.ts'
import { statementMediaType } from '../../../../lib/formats/in-toto.ts'
import { issueSigningKey } from '../../../../lib/images/signing/certificates.ts'
import { developmentName } from '../../../../lib/images/signing/signing-checks.ts'
import { verificationError, verifyArtifact } from '../../../../lib/images/signing/verify.ts'
import { deployment, makeRelease } from '../../../helpers/release.ts'
import { makeKey, openssl } from '../../../helpers/signing.ts'

const root = mkdtempSync(join(tmpdir(), 'fleetsie-verify-'))
after(() => rmSync(root, { recursive: true }))
const key = makeKey(join(root, 'key'))
const privateKey = createPrivateKey(key.key)
// The same signing key below another root: everything fits but the trust.
const stranger = makeKey(join(root, 'stranger'), { keyFile: key.keyFile })
const other = makeKey(join(root, 'other'), { keyFile: key.keyFile, rootName: 'Another root' })
const expired = await issueSigningKey(developmentName, new Date('2001-02-03'))

process.env['FLEETSIE_SIGNING_KEY'] = key.key
process.env['FLEETSIE_SIGNING_CERT'] = key.chain
const pristine = join(root, 'pristine')
mkdirSync(pristine)
await makeRelease(join(pristine, 'store'), Buffer.from('an image\r\n'.repeat(500)))
const { stage, context } = deployment(pristine, join(pristine, 'store'))
await stage.apply(context)

let folder = ''
let count = 0
beforeEach(() => {
  folder = join(root, `case ${count++}`)
  cpSync(join(pristine, 'out'), folder, { recursive: true })
})

const stem = 'sample_fleetsie'
const image = () => file('.img.xz')
const file = (suffix: string) => join(folder, stem + suffix)
const verify = (path = image(), ca?: string) =>
  verifyArtifact(path, {
    run: runner({ home: root }),
    tmp: root,
    ...(ca === undefined ? {} : { ca }),
  })
const flip = (path: string, at: number) => {
  const bytes = readFileSync(path)
  bytes[at < 0 ? bytes.length + at : at]! ^= 1
  writeFileSync(path, bytes)
}
async function signWith(path: string, keyText: string, chain: string): Promise<void> {
  const certificates = chain
    .match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g)!
    .map((pem) => new X509Certificate(pem))
  const sha256 = createHash('sha256').update(readFileSync(path)).digest()
  const chainList = certificates as [X509Certificate, ...X509Certificate[]]
  writeFileSync(`${path}.p7s`, detachedSignature(sha256, chainList, createPrivateKey(keyText)))
}

test('a release as it was signed passes every check', async () => {
  const result = await verify(image(), key.rootFile)
  assert.deepEqual(
    result.checks.map(({ name, ok }) => [name, ok]),
    [
      ['signature', true],
      ['chain', true],
      ['sums signature', true],
      ['sums chain', true],
      ['sums', true],
      ['provenance signature', true],
      ['provenance', true],
    ],
  )
  assert.match(result.checks[1]!.detail, /CN=Test signer, by CN=Test root/)
  assert.equal(verificationError(result), undefined)
  assert.deepEqual(result.remarks, [])
})

test('a certificate from beside the file passes, with a remark that it proves little', async () => {
  const result = await verify()
  assert.equal(verificationError(result), undefined)
  assert.match(result.remarks.join(), /--ca/)
})

test('the sums alone can be verified, and any signed file that belongs to no release', async () => {
  const sums = await verify(file('.sha256sums'), key.rootFile)
  assert.equal(verificationError(sums), undefined)
  assert.ok(sums.checks.some(({ name }) => name === 'sums'))
  const odd = join(folder, '-out "x"\n')
  writeFileSync(odd, 'odd')
  await signWith(odd, key.key, key.chain)
  const alone = await verify(odd, key.rootFile)
  assert.deepEqual(
    alone.checks.map(({ name, ok }) => [name, ok]),
    [
      ['signature', true],
      ['chain', true],
    ],
  )
})

/** What is done to the release, and the checks that must fail, no more and no less. */
const attacks: [string, () => unknown, string[], string?][] = [
  ['a flipped bit in the image', () => flip(image(), 100), ['signature', 'sums', 'provenance']],
  [
    'a byte more in the image',
    () => writeFileSync(image(), 'x', { flag: 'a' }),
    ['signature', 'sums', 'provenance'],
  ],
  ['a flipped bit in the signature', () => flip(file('.img.xz.p7s'), -10), ['signature']],
  ['a signature that is none', () => writeFileSync(file('.img.xz.p7s'), 'what'), ['signature']],
  ['an empty signature', () => writeFileSync(file('.img.xz.p7s'), ''), ['signature']],
  ['a flipped bit in the sums', () => flip(file('.sha256sums'), 3), ['sums signature', 'provenance']],
  ['a changed SBOM', () => flip(file('.spdx.json'), 50), ['sums', 'provenance']],
  ['a block map that is missing', () => rmSync(file('.img.bmap')), ['sums', 'provenance']],
  ['sums without a signature', () => rmSync(file('.sha256sums.p7s')), ['sums signature']],
  ['an envelope that is missing', () => rmSync(file('.intoto.json')), ['provenance signature']],
  ['an envelope that is no JSON', () => writeFileSync(file('.intoto.json'), '{'), ['provenance signature']],
  [
    'an envelope with another payload',
    () => {
      const envelope = JSON.parse(readFileSync(file('.intoto.json'), 'utf8'))
      const statement = JSON.parse(Buffer.from(envelope.payload, 'base64').toString())
      statement.predicate.runDetails.builder.id = 'pkg:npm/another'
      envelope.payload = Buffer.from(JSON.stringify(statement)).toString('base64')
      writeFileSync(file('.intoto.json'), JSON.stringify(envelope))
    },
    ['provenance signature'],
  ],
  [
    'an envelope of the same payload as another type',
    () => {
      const { payload } = JSON.parse(readFileSync(file('.intoto.json'), 'utf8'))
      const other = signEnvelope('application/json', Buffer.from(payload, 'base64'), privateKey)
      writeFileSync(file('.intoto.json'), other)
    },
    ['provenance signature'],
  ],
  [
    'an envelope about other files',
    () => {
      const { payload } = JSON.parse(readFileSync(file('.intoto.json'), 'utf8'))
      const statement = JSON.parse(Buffer.from(payload, 'base64').toString())
      statement.subject = [{ name: '../elsewhere', digest: { sha256: 'a'.repeat(64) } }]
      writeFileSync(
        file('.intoto.json'),
        signEnvelope(statementMediaType, Buffer.from(JSON.stringify(statement)), privateKey),
      )
    },
    ['provenance'],
  ],
  [
    'an older image put back together with its signature',
    async () => {
      writeFileSync(image(), 'an old image')
      await signWith(image(), key.key, key.chain)
    },
    ['sums', 'provenance'],
  ],
  [
    'signed sums that leave the image out',
    async () => {
      writeFileSync(file('.sha256sums'), '')
      await signWith(file('.sha256sums'), key.key, key.chain)
    },
    ['sums', 'provenance'],
  ],
  [
    'signed sums that lead out of the folder',
    async () => {
      const line = readFileSync(file('.sha256sums'), 'utf8')
        .split('\n')
        .find((one) => one.endsWith('.img.xz'))!
      writeFileSync(file('.sha256sums'), `${line}\n${line.slice(0, 66)}../${stem}.img.xz\n`)
      await signWith(file('.sha256sums'), key.key, key.chain)
    },
    ['sums', 'provenance'],
  ],
  ['another root of the same name', () => {}, ['chain', 'sums chain'], stranger.rootFile],
  ['another root', () => {}, ['chain', 'sums chain'], other.rootFile],
]
for (const [title, attack, failing, ca] of attacks) {
  test(`notices ${title}`, async () => {
    await attack()
    const result = await verify(image(), ca ?? key.rootFile)
    const failed = result.checks.filter(({ ok }) => !ok)
    assert.deepEqual(
      failed.map(({ name }) => name),
      failing,
    )
    const error = verificationError(result)
    assert.equal(error?.exitCode, 5)
    for (const name of failing) assert.ok(error?.message.includes(`${name}: `), error?.message)
  })
}

test('notices a certificate that expired, and says so', async () => {
  const ca = join(folder, 'old.crt')
  writeFileSync(ca, expired.root)
  await signWith(image(), expired.key, expired.chain)
  const { checks } = await verify(image(), ca)
  assert.deepEqual(
    checks.find(({ name }) => name === 'chain'),
    {
      name: 'chain',
      ok: false,
      detail: 'certificate has expired',
    },
  )
})

test('notices a signer who may serve web pages only', async () => {
  const web = makeKey(join(folder, 'web'), {
    keyFile: key.keyFile,
    extensions: ['extendedKeyUsage=serverAuth'],
  })
  await signWith(image(), web.key, web.chain)
  const { checks } = await verify(image(), web.rootFile)
  assert.match(checks.find(({ name }) => name === 'chain')!.detail, /purpose/)
})

test('trusts nobody but the given root, whomever the system trusts', async () => {
  // What a system-wide trust would look like to openssl, by its own variables.
  const trusted = join(folder, 'trusted')
  mkdirSync(trusted)
  writeFileSync(join(trusted, 'root.pem'), key.root)
  openssl('rehash', trusted)
  const run = runner({ home: root, env: { SSL_CERT_DIR: trusted, SSL_CERT_FILE: key.rootFile } })
  const { checks } = await verifyArtifact(image(), { run, tmp: root, ca: other.rootFile })
  assert.equal(checks.find(({ name }) => name === 'chain')?.ok, false)
})

test('a signature by two signers is not taken for one of them', async () => {
  const signer = join(folder, 'signer.pem')
  writeFileSync(signer, key.leaf)
  const second = join(folder, 'second.pem')
  writeFileSync(second, stranger.leaf)
  const args = ['-signer', signer, '-inkey', key.keyFile, '-signer', second, '-inkey', key.keyFile]
  openssl('cms', '-sign', '-binary', '-in', image(), ...args, '-outform', 'DER', '-out', `${image()}.p7s`)
  const both = join(folder, 'both.crt')
  writeFileSync(both, key.root + stranger.root)
  const result = await verify(image(), both)
  assert.equal(result.checks[0]!.ok, false)
  assert.match(result.checks[0]!.detail, /2 signers/)
})

test('says that a development key signed', async () => {
  const made = await issueSigningKey(developmentName, new Date())
  await signWith(image(), made.key, made.chain)
  writeFileSync(join(folder, 'ca.crt'), made.root)
  const { remarks } = await verify()
  assert.match(remarks.join(), /development key/)
})

test('says what is missing when there is nothing to judge', async () => {
  await assert.rejects(verify(join(folder, 'nothing')), { code: 'E_INPUT', message: /no such file/ })
  await assert.rejects(verify(file('.spdx.json')), {
    code: 'E_VERIFY',
    hint: /verify sample_fleetsie\.sha256sums/,
  })
  await assert.rejects(verify(image(), join(folder, 'no.crt')), { code: 'E_INPUT', hint: /--ca/ })
  renameSync(file('.img.xz.p7s'), file('.elsewhere'))
  await assert.rejects(verify(), { code: 'E_VERIFY', message: /no signature sample_fleetsie\.img\.xz\.p7s/ })
})

test('leaves nothing behind', async () => {
  const before = readdirSync(root).sort()
  await verify()
  assert.deepEqual(readdirSync(root).sort(), before)
})
