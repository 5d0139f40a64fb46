import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { privateKeyFinder } from '../../lib/images/overlay/private-keys.ts'
import { needs } from '../helpers/needs.ts'
import { build, project, refused, sourcesOf } from '../helpers/overlays.ts'

let folder: string
const tool = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: folder, stdio: 'pipe' })
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'fleetsie-keys-'))
  tool(
    'openssl',
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    '/CN=x',
    '-keyout',
    'rsa.pem',
    '-out',
    'crt.pem',
  )
})
after(() => rmSync(folder, { recursive: true, force: true }))

const made = (name: string, command: string, ...args: string[]): Buffer => {
  tool(command, ...args)
  return readFileSync(join(folder, name))
}
const find = (bytes: Buffer, size = bytes.length): boolean => {
  const finder = privateKeyFinder()
  let found = false
  for (let at = 0; at < bytes.length; at += size) found = finder(bytes.subarray(at, at + size))
  return found
}

const ssl =
  (name: string, ...args: string[]) =>
  () =>
    made(name, 'openssl', ...args, '-out', name)
const ssh =
  (name: string, ...args: string[]) =>
  () =>
    made(name, 'ssh-keygen', '-q', '-f', name, ...args)
const keys: [title: string, make: () => Buffer][] = [
  ['PKCS#8', () => readFileSync(join(folder, 'rsa.pem'))],
  ['PKCS#8, encrypted', ssl('p8e.pem', 'pkcs8', '-topk8', '-in', 'rsa.pem', '-passout', 'pass:x')],
  ['PKCS#1', ssl('p1.pem', 'rsa', '-traditional', '-in', 'rsa.pem')],
  [
    'PKCS#1, encrypted, with header lines',
    ssl('p1e.pem', 'rsa', '-traditional', '-aes128', '-in', 'rsa.pem', '-passout', 'pass:x'),
  ],
  ['an elliptic curve', ssl('ec.pem', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout')],
  ['Ed25519', ssl('ed.pem', 'genpkey', '-algorithm', 'ed25519')],
  ['PKCS#12', ssl('a.p12', 'pkcs12', '-export', '-inkey', 'rsa.pem', '-in', 'crt.pem', '-passout', 'pass:x')],
  ['OpenSSH', ssh('id', '-t', 'ed25519', '-N', '')],
  ['OpenSSH, encrypted', ssh('ide', '-t', 'ed25519', '-N', 'secret')],
  ['SSH2', () => Buffer.from('---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: "x"\nP2/56wAAA\n')],
  ['PGP', () => Buffer.from('-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBGA1x8kBCADJ\n')],
  ['PuTTY', () => Buffer.from('PuTTY-User-Key-File-3: ssh-ed25519\n')],
  [
    'PEM with the line ends of Windows',
    () => Buffer.from(readFileSync(join(folder, 'rsa.pem'), 'latin1').replaceAll('\n', '\r\n')),
  ],
  [
    'PEM in a JSON string',
    () => Buffer.from(JSON.stringify({ key: readFileSync(join(folder, 'rsa.pem'), 'latin1') })),
  ],
  [
    'PEM indented in YAML',
    () => Buffer.from(`key: |\n${readFileSync(join(folder, 'rsa.pem'), 'latin1').replace(/^/gm, '    ')}`),
  ],
  [
    'PEM behind a certificate',
    () => Buffer.concat([readFileSync(join(folder, 'crt.pem')), readFileSync(join(folder, 'rsa.pem'))]),
  ],
]

describe('overlay: private keys are found by content', { skip: needs('openssl', 'ssh-keygen') }, () => {
  for (const [title, make] of keys) {
    it(title, () => {
      const bytes = make()
      assert.equal(find(bytes), true)
      assert.equal(find(bytes, 1), true, 'byte by byte')
      if (title !== 'PKCS#12')
        assert.equal(find(Buffer.concat([Buffer.alloc(100_000, 'x'), bytes]), 4096), true, 'late in a file')
    })
  }

  for (const [title, make] of [
    ['a certificate', () => readFileSync(join(folder, 'crt.pem'))],
    ['a public key', () => made('pub.pem', 'openssl', 'rsa', '-in', 'rsa.pem', '-pubout', '-out', 'pub.pem')],
    [
      'a certificate signed as PKCS#7',
      () =>
        made(
          'a.p7',
          'openssl',
          'crl2pkcs7',
          '-nocrl',
          '-certfile',
          'crt.pem',
          '-outform',
          'DER',
          '-out',
          'a.p7',
        ),
    ],
    ['a script that looks for keys', () => Buffer.from('grep -q -- "-----BEGIN PRIVATE KEY-----" "$1"\n')],
    ['a program that reads keys', () => readFileSync('/usr/bin/ssh-keygen')],
    ['an empty file', () => Buffer.alloc(0)],
  ] as const) {
    it(`not ${title}`, () => assert.equal(find(make()), false))
  }
})

describe('overlay: private keys are refused', { skip: needs('openssl', 'git') }, () => {
  const path = 'overlays/part_2/etc/ssl/key "1".pem'
  const key = () => readFileSync(join(folder, 'rsa.pem'))

  it('before their hash becomes part of anything, with the option that allows them', async () => {
    const cwd = await project({ [path]: key() })
    const hashed: string[] = []
    const work = sourcesOf(cwd, { from: 'overlays' }, async (file) => String(hashed.push(file)))
    await refused(
      work,
      'E_UNSAFE',
      /etc\/ssl\/key .* holds a private key/,
      /allowPrivateKeys: \["overlays\/part_2\/etc\/ssl\/key \\"1\\".pem"\]/,
      path,
    )
    assert.deepEqual(hashed, [])
    const { text } = await build(cwd, { allowPrivateKeys: [path] })
    assert.equal(text.get('etc/ssl/key "1".pem'), key().toString())
    await refused(build(cwd, { allowPrivateKeys: ['etc/ssl/key "1".pem'] }), 'E_UNSAFE', /private key/)
  })

  it('in a large file as well, and the message does not quote it', async () => {
    const cwd = await project({
      'overlays/part_2/bundle': Buffer.concat([Buffer.alloc(300_000, 'x\n'), key()]),
    })
    await refused(
      build(cwd),
      'E_UNSAFE',
      /^"overlays\/part_2\/bundle" holds a private key, which every copy of the image would give away$/,
    )
    writeFileSync(join(cwd, 'overlays/part_2/bundle'), Buffer.alloc(300_000, 'x\n'))
    assert.equal((await build(cwd)).entries.get('part_2.tar')!.size, 1)
  })
})
