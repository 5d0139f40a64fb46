import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { parseEnvelope } from '../../lib/formats/dsse.ts'
import { parseSubjects } from '../../lib/formats/in-toto.ts'
import { deployment, makeRelease } from '../helpers/release.ts'
import { makeKey, openssl } from '../helpers/signing.ts'

const root = mkdtempSync(join(tmpdir(), 'fleetsie-sign-'))
after(() => rmSync(root, { recursive: true }))
const key = makeKey(join(root, 'key'))
const image = Buffer.from('not really an image\r\n'.repeat(1000))
const store = join(root, 'store')
await makeRelease(store, image)

const expected = [
  'ca.crt',
  'sample_fleetsie.imager.json',
  'sample_fleetsie.img.bmap',
  'sample_fleetsie.img.xz',
  'sample_fleetsie.img.xz.p7s',
  'sample_fleetsie.intoto.json',
  'sample_fleetsie.sha256sums',
  'sample_fleetsie.sha256sums.p7s',
  'sample_fleetsie.spdx.json',
]
const kinds = {
  'ca.crt': 'certificate',
  'sample_fleetsie.img.bmap': 'bmap',
  'sample_fleetsie.img.xz': 'image',
  'sample_fleetsie.img.xz.p7s': 'signature',
  'sample_fleetsie.imager.json': 'imager',
  'sample_fleetsie.intoto.json': 'provenance',
  'sample_fleetsie.sha256sums': 'sums',
  'sample_fleetsie.sha256sums.p7s': 'signature',
  'sample_fleetsie.spdx.json': 'sbom',
}

let cwd = ''
let count = 0
beforeEach(() => {
  cwd = join(root, `run ${count++}`)
  mkdirSync(cwd)
  process.env['FLEETSIE_SIGNING_KEY'] = key.key
  process.env['FLEETSIE_SIGNING_CERT'] = key.chain
  process.env['XDG_CONFIG_HOME'] = join(cwd, 'config')
})

const apply = (options: { out?: string } = {}) => {
  const { stage, context } = deployment(cwd, store, options)
  return stage.apply(context)
}
const out = (name = '') => join(cwd, 'out', name)
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')
/** What changes when a file is written again. */
const state = () =>
  readdirSync(out()).map((name) => {
    const { ino, mtimeMs, ctimeMs } = lstatSync(out(name))
    return [name, ino, mtimeMs, ctimeMs].join(' ')
  })

test('fills out/ with the release, and says of each file what it is and its digest', async () => {
  const deployed = await apply()
  assert.deepEqual(readdirSync(out()).sort(), expected)
  assert.deepEqual(
    Object.fromEntries(deployed.map(({ path, kind }) => [path.slice('out/'.length), kind])),
    kinds,
  )
  for (const { path, sha256: digest } of deployed) assert.equal(sha256(join(cwd, path)), digest)
  for (const name of expected) assert.equal(statSync(out(name)).mode & 0o7777, 0o644)
})

test('stock openssl accepts image and sums, sha256sum the files', async () => {
  await apply()
  for (const name of ['sample_fleetsie.img.xz', 'sample_fleetsie.sha256sums']) {
    const args = [
      '-in',
      out(`${name}.p7s`),
      '-content',
      out(name),
      '-CAfile',
      out('ca.crt'),
      '-out',
      '/dev/null',
    ]
    openssl('cms', '-verify', '-binary', '-inform', 'DER', ...args)
  }
  const sums = execFileSync('sha256sum', ['--strict', '-c', 'sample_fleetsie.sha256sums'], { cwd: out() })
  assert.deepEqual(
    sums
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.replace(': OK', '')),
    [
      'sample_fleetsie.imager.json',
      'sample_fleetsie.img.bmap',
      'sample_fleetsie.img.xz',
      'sample_fleetsie.spdx.json',
    ],
  )
})

test('the envelope holds the statement of save as it was, about the files that were published', async () => {
  await apply()
  const { payload } = parseEnvelope(readFileSync(out('sample_fleetsie.intoto.json'), 'utf8'))
  assert.deepEqual(payload, readFileSync(join(store, 'sample_fleetsie.provenance.json')))
  for (const { name, sha256: digest } of parseSubjects(payload)) assert.equal(sha256(out(name)), digest)
})

test('applied twice, it writes nothing', async () => {
  const first = await apply()
  const before = state()
  assert.deepEqual(await apply(), first)
  assert.deepEqual(state(), before)
})

test('puts right what was changed, removed or replaced by a link, and only that', async () => {
  await apply()
  const before = new Map(state().map((line) => [line.split(' ')[0]!, line]))
  const elsewhere = join(cwd, 'elsewhere')
  writeFileSync(elsewhere, 'mine')
  const flipped = readFileSync(out('sample_fleetsie.img.xz'))
  flipped[7]! ^= 1
  writeFileSync(out('sample_fleetsie.img.xz'), flipped)
  rmSync(out('sample_fleetsie.intoto.json'))
  for (const [name, target] of [
    ['sample_fleetsie.spdx.json', elsewhere],
    ['ca.crt', join(cwd, 'dangling')],
  ] as const) {
    rmSync(out(name))
    symlinkSync(target, out(name))
  }
  await apply()
  assert.deepEqual(readFileSync(out('sample_fleetsie.img.xz')), image)
  assert.equal(readFileSync(elsewhere, 'utf8'), 'mine')
  assert.ok(!existsSync(join(cwd, 'dangling')))
  const changed = state()
    .filter((line) => before.get(line.split(' ')[0]!) !== line)
    .map((line) => line.split(' ')[0])
  assert.deepEqual(changed.sort(), [
    'ca.crt',
    'sample_fleetsie.img.xz',
    'sample_fleetsie.intoto.json',
    'sample_fleetsie.spdx.json',
  ])
})

test('a mode that the umask or a hand changed is set right without writing the file again', async () => {
  const umask = process.umask(0o077)
  try {
    await apply()
    assert.equal(statSync(out('ca.crt')).mode & 0o7777, 0o644)
    const { ino } = statSync(out('sample_fleetsie.img.xz'))
    chmodSync(out('sample_fleetsie.img.xz'), 0o600)
    await apply()
    const after = statSync(out('sample_fleetsie.img.xz'))
    assert.deepEqual([after.ino, after.mode & 0o7777], [ino, 0o644])
  } finally {
    process.umask(umask)
  }
})

test('follows an out/ that is a link to a folder, and takes an absolute one', async () => {
  mkdirSync(join(cwd, 'real'))
  symlinkSync('real', out())
  await apply()
  assert.equal(readlinkSync(out()), 'real')
  assert.deepEqual(readdirSync(join(cwd, 'real')).sort(), expected)
  const absolute = join(cwd, 'deep', 'er')
  const deployed = await apply({ out: absolute })
  assert.equal(deployed[0]!.path, join(absolute, 'sample_fleetsie.img.xz'))
})

const obstacles: [string, () => void][] = [
  ['out/ is a file', () => writeFileSync(out(), '')],
  ['out/ is a link to nowhere', () => symlinkSync('nowhere', out())],
  ['a folder has the name of a file', () => mkdirSync(out('ca.crt'), { recursive: true })],
]
for (const [title, build] of obstacles) {
  test(`says so when ${title}`, async () => {
    build()
    await assert.rejects(apply(), { code: 'E_INPUT' })
    assert.ok(!existsSync(join(cwd, 'nowhere')))
  })
}

test('sweeps what a killed process left, but not what a living one writes', async () => {
  mkdirSync(out())
  // No process can have this number: it is above the kernel's limit.
  const dead = '.fleetsie-4194305-0123abcd.part'
  const living = `.fleetsie-${process.pid}-0123abcd.part`
  for (const name of [dead, living]) writeFileSync(out(name), 'half')
  await apply()
  assert.ok(!existsSync(out(dead)))
  assert.ok(existsSync(out(living)))
})

test('a file of the store that is damaged is not published, and the old one stays', async () => {
  await apply()
  const damaged = join(cwd, 'store')
  await makeRelease(damaged, Buffer.from('a newer image'))
  const file = join(damaged, 'sample_fleetsie.img.xz')
  chmodSync(file, 0o644)
  writeFileSync(file, 'a newer imagE')
  const { stage, context } = deployment(cwd, damaged)
  await assert.rejects(stage.apply(context), { code: 'E_STORE', file })
  assert.deepEqual(readFileSync(out('sample_fleetsie.img.xz')), image)
  assert.deepEqual(readdirSync(out()).sort(), expected)
})

test('an input that is not the result of save is refused', async () => {
  const { stage, context } = deployment(cwd, cwd)
  await assert.rejects(stage.apply(context), { code: 'E_INPUT', hint: /save/ })
})

test('a list with a name that leads elsewhere is refused', async () => {
  const evil = join(cwd, 'store')
  mkdirSync(evil)
  const file = { name: '../escaped', sha256: 'a'.repeat(64), size: 1, kind: 'image' }
  writeFileSync(join(evil, 'artifacts.json'), JSON.stringify({ stem: 's', files: [file] }))
  const { stage, context } = deployment(cwd, evil)
  await assert.rejects(stage.apply(context), { code: 'E_DAMAGED', message: /files\.0\.name/ })
})

test('a certificate that only openssl knows to be unfit publishes nothing', async () => {
  const extensions = ['keyUsage=critical,keyEncipherment', 'extendedKeyUsage=codeSigning,emailProtection']
  const unfit = makeKey(join(cwd, 'unfit'), { keyFile: key.keyFile, extensions })
  process.env['FLEETSIE_SIGNING_CERT'] = unfit.chain
  await assert.rejects(apply(), { code: 'E_INPUT', message: /openssl does not accept/ })
  assert.deepEqual(readdirSync(out()), [])
})

test('the identity follows the certificates, is the same each time, and makes a development key once, with a note', async () => {
  const { stage } = deployment(cwd, store)
  const notes: string[] = []
  const host = { cwd, sha256: async () => '', note: (line: string) => notes.push(line) }
  const identity = () => stage.identity!({}, host)
  const mine = await identity()
  assert.match(mine, /^[0-9a-f]{64} [0-9a-f]{64}$/)
  assert.equal(await identity(), mine)
  delete process.env['FLEETSIE_SIGNING_KEY']
  delete process.env['FLEETSIE_SIGNING_CERT']
  const development = await identity()
  assert.notEqual(development, mine)
  assert.equal(await identity(), development)
  assert.equal(notes.length, 1)

  const { context, notes: said } = deployment(cwd, store)
  await stage.apply(context)
  assert.match(said.join('\n'), /development key/)
})

test('no byte of the private key is in what is written or said', async () => {
  // Every line of a PEM file is a marker of its own; so is the key in binary.
  const lines = key.key.split('\n').filter((line) => line.length > 20 && !line.startsWith('-----'))
  const raw = Buffer.from(lines.join(''), 'base64')
  const { stage, context, notes } = deployment(cwd, store)
  const said = [
    JSON.stringify(await stage.apply(context)),
    await stage.identity!({}, { cwd, sha256: async () => '', note: () => {} }),
    ...notes,
  ]
  process.env['FLEETSIE_SIGNING_CERT'] = 'broken'
  said.push(
    String(await stage.apply(context).catch((error: Error) => `${error.stack}${JSON.stringify(error)}`)),
  )
  const files = readdirSync(cwd, { recursive: true, encoding: 'utf8' }).filter((name) =>
    lstatSync(join(cwd, name)).isFile(),
  )
  assert.ok(files.length >= expected.length)
  const written = [Buffer.from(said.join('\n')), ...files.map((name) => readFileSync(join(cwd, name)))]
  for (const bytes of written) {
    for (const line of lines) assert.ok(!bytes.includes(line))
    // The middle of the key: past what a certificate of the same key has in common with it.
    assert.ok(!bytes.includes(raw.subarray(900, 932)))
    assert.ok(!bytes.includes(Buffer.from(raw.subarray(900, 932).toString('hex'))))
  }
})

const notRoot = process.geteuid?.() === 0 ? false : 'only root can give files away'
test('under sudo, folder and files belong to the caller', { skip: notRoot }, async () => {
  process.env['SUDO_UID'] = '12345'
  process.env['SUDO_GID'] = '23456'
  try {
    await apply({ out: 'a/b' })
  } finally {
    delete process.env['SUDO_UID']
    delete process.env['SUDO_GID']
  }
  const made = ['a', 'a/b', ...expected.map((name) => `a/b/${name}`)]
  for (const name of made) {
    const { uid, gid } = lstatSync(join(cwd, name))
    assert.deepEqual([name, uid, gid], [name, 12345, 23456])
  }
})

test('touching a published file changes nothing', async () => {
  await apply()
  utimesSync(out('ca.crt'), 1, 1)
  const before = state()
  await apply()
  assert.deepEqual(state(), before)
})
