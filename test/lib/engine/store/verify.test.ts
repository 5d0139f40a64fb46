import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { keyOf, openStore, publish } from '../../../helpers/store.ts'

const mib = 1024 * 1024
const image = Buffer.concat([Buffer.alloc(mib), Buffer.alloc(mib, 'a'), Buffer.alloc(100)])
const hash = (data: Buffer): Buffer => createHash('sha256').update(data).digest()
const chunks = hash(
  Buffer.concat([Buffer.alloc(32), hash(image.subarray(mib, 2 * mib)), Buffer.alloc(32)]),
).toString('hex')

function flip(file: string, offset: number): void {
  chmodSync(file, 0o644)
  const byte = readFileSync(file)[offset]! ^ 1
  const fd = openSync(file, 'r+')
  writeSync(fd, Buffer.from([byte]), 0, 1, offset)
  closeSync(fd)
  chmodSync(file, 0o444)
}

const damages: { title: string; damage: (folder: string) => void; says: RegExp }[] = [
  {
    title: 'a flipped byte',
    damage: (f) => flip(join(f, 'out/d/file'), 2),
    says: /^d\/file has another content/,
  },
  {
    title: 'a flipped byte in a chunk of zeros',
    damage: (f) => flip(join(f, 'out/disk.img'), 7),
    says: /^disk\.img has another content/,
  },
  {
    title: 'a flipped byte in the last, shorter chunk',
    damage: (f) => flip(join(f, 'out/disk.img'), image.length - 1),
    says: /^disk\.img has another content/,
  },
  {
    title: 'a file that grew',
    damage: (f) => writeFileSync(join(f, 'out/d/file'), 'longer than before'),
    says: /^d\/file has not 5 bytes/,
  },
  { title: 'a missing file', damage: (f) => rmSync(join(f, 'out/d/file')), says: /^d\/file is missing/ },
  {
    title: 'a file too many',
    damage: (f) => writeFileSync(join(f, 'out/d/x'), ''),
    says: /^d\/x does not belong/,
  },
  {
    title: 'a mode',
    damage: (f) => chmodSync(join(f, 'out/d/file'), 0o555),
    says: /^d\/file has another mode/,
  },
  {
    title: 'a link that leads elsewhere',
    damage: (f) => {
      rmSync(join(f, 'out/link'))
      symlinkSync('there', join(f, 'out/link'))
    },
    says: /^link leads elsewhere/,
  },
  {
    title: 'a folder in the place of a file',
    damage: (f) => {
      rmSync(join(f, 'out/d/file'))
      mkdirSync(join(f, 'out/d/file'))
    },
    says: /^d\/file is a directory/,
  },
  {
    title: 'a listing that was made to fit',
    damage: (f) => {
      const meta = readFileSync(join(f, 'meta.json'), 'utf8')
      chmodSync(join(f, 'meta.json'), 0o644)
      writeFileSync(join(f, 'meta.json'), meta.replace('"size":5', '"size":6'))
    },
    says: /digest of the object/,
  },
  { title: 'a meta.json that is no JSON', damage: (f) => flip(join(f, 'meta.json'), 0), says: /is not JSON/ },
  { title: 'no meta.json', damage: (f) => rmSync(join(f, 'meta.json')), says: /meta\.json is missing/ },
  { title: 'a missing object', damage: (f) => rmSync(f, { recursive: true }), says: /folder is gone/ },
]

for (const { title, damage, says } of damages) {
  test(`verify finds ${title}; repair drops the object, and it can be made again`, async (t) => {
    const { store } = await openStore(t)
    const make = async () => {
      const files = { 'd/file': 'hello', 'disk.img': image }
      return publish(store, 'a', { files, declared: new Map([['disk.img', { chunks }]]) })
    }
    await publish(store, 'sound', { files: { x: 'sound' } })
    const { path } = says.source.startsWith('^link') ? await withLink(store) : await make()
    const folder = join(path, '..')
    damage(folder)
    const report = await store.verify()
    assert.equal(report.problems.length, 1)
    assert.match(report.problems[0]!.problem, says)
    assert.equal(report.problems[0]!.path, folder)
    assert.equal(report.ok, false)

    const repaired = await store.verify({ repair: true })
    assert.equal(repaired.ok, true)
    assert.equal(repaired.problems[0]?.repaired, true)
    assert.equal(store.lookup(keyOf('a')), undefined)
    assert.match(store.tombstone(keyOf('a'))!.reason, /^(damaged|lost)$/)
    assert.deepEqual((await store.verify()).problems, [])
    await make()
    const again = await store.verify()
    assert.deepEqual([again.objects, again.problems, again.ok], [2, [], true])
  })
}

async function withLink(store: Awaited<ReturnType<typeof openStore>>['store']): Promise<{ path: string }> {
  const workspace = await store.workspace()
  symlinkSync('here', join(workspace.out, 'link'))
  const request = { definitionKey: keyOf('d'), manifest: {}, declared: new Map(), inputs: [], ms: 1 }
  return store.publish({ workspace, key: keyOf('a'), name: 'x', ...request })
}

test('verify finds folders that the database does not know; repair removes them', async (t) => {
  const { store } = await openStore(t)
  await publish(store, 'a', { files: { x: '1' } })
  for (const stray of ['ff', 'ff/nonsense', 'ff/nonsense/out'])
    mkdirSync(join(store.folder, 'objects', stray))
  writeFileSync(join(store.folder, 'objects', 'file'), '')
  const { problems } = await store.verify()
  assert.deepEqual(problems.map(({ path }) => path).sort(), [
    join(store.folder, 'objects/ff/nonsense'),
    join(store.folder, 'objects/file'),
  ])
  assert.equal((await store.verify({ repair: true })).ok, true)
  assert.deepEqual((await store.verify()).problems, [])
})

test('verify that is aborted in the midst of a file ends with the reason, and drops nothing', async (t) => {
  const { store } = await openStore(t)
  await publish(store, 'a', { files: { big: Buffer.alloc(32 * mib) } })
  const controller = new AbortController()
  const reason = new Error('enough')
  const verified = store.verify({ repair: true, signal: controller.signal })
  setImmediate(() => controller.abort(reason))
  await assert.rejects(verified, reason)
  assert.ok(store.lookup(keyOf('a')))
})
