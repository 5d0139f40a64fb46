import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { FleetsieError } from '../../../../lib/errors.ts'
import { makeSigningKey } from '../../../../lib/images/signing/make-signing-key.ts'
import { findSigningKey, signingKey } from '../../../../lib/images/signing/signing-key.ts'
import { makeKey, openssl } from '../../../helpers/signing.ts'

const root = mkdtempSync(join(tmpdir(), 'fleetsie-key-'))
after(() => rmSync(root, { recursive: true }))
let count = 0
const newFolder = (): string => {
  const folder = join(root, String(count++))
  mkdirSync(folder)
  return folder
}
const made = makeKey(join(root, 'fit'))
const environment = (key: string, certificate: string) => ({
  FLEETSIE_SIGNING_KEY: key,
  FLEETSIE_SIGNING_CERT: certificate,
})
/** The key folder of a configuration folder, made. */
const keysIn = (config: string): string => {
  mkdirSync(join(config, 'fleetsie', 'keys'), { recursive: true })
  return join(config, 'fleetsie', 'keys')
}

test('takes PEM text from the environment, and puts the chain into order', async () => {
  const key = await signingKey(environment(made.key, made.root + made.leaf))
  assert.deepEqual(
    key.chain.map(({ subject }) => subject),
    ['CN=Test signer', 'CN=Test root'],
  )
  assert.equal(key.development, false)
  assert.equal(key.place, 'FLEETSIE_SIGNING_KEY')
})

test('takes PKCS#1 and lines that end as on Windows', async () => {
  const pkcs1 = openssl('rsa', '-in', made.keyFile, '-traditional')
  assert.match(pkcs1, /BEGIN RSA PRIVATE KEY/)
  await signingKey(environment(pkcs1.replaceAll('\n', '\r\n'), made.chain.replaceAll('\n', '\r\n')))
})

test('takes the names of files too, and files in the key folder', async () => {
  const config = newFolder()
  const folder = keysIn(config)
  const files = { key: join(folder, 'signing.key'), certificate: join(folder, 'signing.crt') }
  writeFileSync(files.key, made.key, { mode: 0o600 })
  writeFileSync(files.certificate, made.chain)
  const named = await signingKey(environment(files.key, files.certificate))
  const found = await signingKey({ XDG_CONFIG_HOME: config })
  assert.equal(named.chain[0].serialNumber, '07')
  assert.equal(found.place, files.key)
})

test('without a key, a development key is made once, for its owner only, and fit for stock openssl', async () => {
  const config = newFolder()
  assert.equal(await findSigningKey({ XDG_CONFIG_HOME: config }), undefined)
  const first = await signingKey({ XDG_CONFIG_HOME: config })
  const again = await signingKey({ XDG_CONFIG_HOME: config })
  assert.equal(first.development, true)
  assert.equal(again.chain[0].fingerprint256, first.chain[0].fingerprint256)
  assert.match(first.chain[0].subject, /development key/)
  assert.equal(first.key.asymmetricKeyDetails?.modulusLength, 3072)

  const folder = join(config, 'fleetsie', 'keys')
  assert.deepEqual(readdirSync(folder).sort(), ['ca.crt', 'signing.crt', 'signing.key'])
  assert.equal(statSync(join(folder, 'signing.key')).mode & 0o7777, 0o600)
  assert.equal(statSync(folder).mode & 0o7777, 0o700)
  const files = ['-CAfile', join(folder, 'ca.crt'), join(folder, 'signing.crt')]
  openssl('verify', '-x509_strict', '-purpose', 'smimesign', ...files)
  const text = openssl('x509', '-in', join(folder, 'signing.crt'), '-noout', '-text')
  assert.match(text, /Code Signing, E-mail Protection/)
  assert.match(text, /Digital Signature\n/)
  assert.match(openssl('x509', '-in', join(folder, 'ca.crt'), '-noout', '-text'), /CA:TRUE, pathlen:0/)
})

test('a development key is whole even if its maker was killed before the certificates had files of their own', async () => {
  const config = newFolder()
  const first = await signingKey({ XDG_CONFIG_HOME: config })
  for (const name of ['signing.crt', 'ca.crt']) rmSync(join(config, 'fleetsie', 'keys', name))
  const again = await signingKey({ XDG_CONFIG_HOME: config })
  assert.equal(again.chain[0].fingerprint256, first.chain[0].fingerprint256)
})

test('a key that was asked for has its own name, is no development key, and is never replaced', async () => {
  const config = newFolder()
  const folder = keysIn(config)
  const wish = { name: 'Release 2026', caller: undefined, now: new Date() }
  assert.equal(await makeSigningKey(folder, wish), true)
  const first = await signingKey({ XDG_CONFIG_HOME: config })
  assert.match(first.chain[0].subject, /^CN=Release 2026 [0-9a-f]{8}$/)
  assert.equal(first.development, false)
  assert.equal(await makeSigningKey(folder, wish), false)
  const again = await signingKey({ XDG_CONFIG_HOME: config })
  assert.equal(again.chain[0].fingerprint256, first.chain[0].fingerprint256)
})

test('processes that make the development key at once all get the same one', async () => {
  const config = newFolder()
  const module = new URL('../../../../lib/images/signing/signing-key.ts', import.meta.url).href
  const script = `const { signingKey } = await import(${JSON.stringify(module)})
    console.log((await signingKey()).chain[0].fingerprint256)`
  const run = promisify(execFile)
  const runs = [0, 1, 2].map(() =>
    run(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      env: { ...process.env, XDG_CONFIG_HOME: config },
    }),
  )
  const prints = (await Promise.all(runs)).map(({ stdout }) => stdout)
  assert.equal(new Set(prints).size, 1)
  assert.deepEqual(readdirSync(join(config, 'fleetsie', 'keys')).sort(), [
    'ca.crt',
    'signing.crt',
    'signing.key',
  ])
})

const weak = makeKey(join(root, 'weak'), { key: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'] })
const ec = makeKey(join(root, 'ec'), { key: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'] })
const web = makeKey(join(root, 'web'), { keyFile: made.keyFile, extensions: ['extendedKeyUsage=serverAuth'] })
const codeOnly = makeKey(join(root, 'code'), {
  keyFile: made.keyFile,
  extensions: ['extendedKeyUsage=codeSigning'],
})
const noAuthority = makeKey(join(root, 'noca'), {
  keyFile: made.keyFile,
  rootExtensions: ['basicConstraints=critical,CA:FALSE'],
})
const days = (count: number) => new Date(Date.now() + count * 24 * 3600 * 1000)
const encrypted = openssl('rsa', '-in', made.keyFile, '-aes128', '-passout', 'pass:x')

const refused: [string, Record<string, string>, string, RegExp, Date?][] = [
  ['an RSA key of 2048 bits', environment(weak.key, weak.chain), 'E_UNSAFE', /2048 bits/],
  ['an EC key', environment(ec.key, ec.chain), 'E_INPUT', /type ec, not RSA/],
  ['a certificate of another key', environment(made.key, weak.chain), 'E_INPUT', /no certificate .* belongs/],
  ['a certificate that expired', environment(made.key, made.chain), 'E_INPUT', /expired on/, days(31)],
  ['a certificate that begins later', environment(made.key, made.chain), 'E_INPUT', /begins on/, days(-1)],
  [
    'a chain without its root',
    environment(made.key, made.leaf),
    'E_INPUT',
    /lacks the certificate of CN=Test root/,
  ],
  ['a certificate for web servers', environment(web.key, web.chain), 'E_INPUT', /code signing and e-mail/],
  [
    'a certificate for code alone',
    environment(codeOnly.key, codeOnly.chain),
    'E_INPUT',
    /for e-mail protection/,
  ],
  ['an issuer that is no authority', environment(noAuthority.key, noAuthority.chain), 'E_INPUT', /authority/],
  ['an encrypted key', environment(encrypted, made.chain), 'E_INPUT', /no private key/],
  ['a key that is no PEM', environment('-----BEGIN what', made.chain), 'E_INPUT', /no private key/],
  ['a certificate that is none', environment(made.key, '-----BEGIN what'), 'E_INPUT', /holds 0 certificates/],
  ['a key without a certificate', { FLEETSIE_SIGNING_KEY: made.key }, 'E_INPUT', /SIGNING_CERT is not set/],
  ['a secret that CI did not hand over', environment('', ''), 'E_INPUT', /SIGNING_KEY is empty/],
]
for (const [title, env, code, message, now] of refused) {
  test(`refuses ${title}`, async () => {
    await assert.rejects(signingKey(env, now), (error: unknown) => {
      assert.ok(error instanceof FleetsieError)
      assert.equal(error.code, code, error.message)
      assert.match(error.message, message)
      assert.ok(error.hint || title.includes('authority'))
      return true
    })
  })
}

test('refuses a key file that others may read, and says how to mend it', async () => {
  const config = newFolder()
  const file = join(keysIn(config), 'signing.key')
  writeFileSync(file, made.key)
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(file, mode)
    await assert.rejects(signingKey({ XDG_CONFIG_HOME: config }), {
      code: 'E_UNSAFE',
      file,
      hint: /chmod 600/,
    })
  }
})

test('never makes a key beside a certificate that has lost its own', async () => {
  const config = newFolder()
  const file = join(keysIn(config), 'signing.crt')
  writeFileSync(file, made.chain)
  await assert.rejects(signingKey({ XDG_CONFIG_HOME: config }), { code: 'E_INPUT', file })
  assert.equal(readFileSync(file, 'utf8'), made.chain)
})

test('no error quotes what was given for a key', async () => {
  const marker = 'q7Zk0MARKERx'
  const body = made.key.split('\n').slice(1, 4).join('\n')
  const values = [
    marker,
    `${marker}\n${marker}`,
    `-----BEGIN PRIVATE KEY-----\n${marker}\n-----END PRIVATE KEY-----\n`,
    `-----BEGIN PRIVATE KEY-----\n${body}\n${marker}\n-----END PRIVATE KEY-----\n`,
    marker.repeat(1000),
    `${marker}\0`,
  ]
  for (const value of values) {
    for (const env of [environment(value, made.chain), environment(made.key, value)]) {
      await assert.rejects(signingKey(env), (error: unknown) => {
        assert.ok(error instanceof FleetsieError)
        const shown = [
          error.message,
          error.hint,
          error.file,
          error.stack,
          JSON.stringify(error),
          error.cause,
        ].join('\n')
        assert.ok(!shown.includes(marker) && !shown.includes(body.slice(0, 40)), shown)
        return true
      })
    }
  }
})
