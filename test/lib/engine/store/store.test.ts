import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import type { Digest } from '../../../../lib/engine/stage.ts'
import { removeTree } from '../../../../lib/engine/store/remove.ts'
import type { Workspace } from '../../../../lib/engine/store/types.ts'
import { onTracePoint } from '../../../../lib/engine/trace.ts'
import { keyOf, openStore, publish, temporaryFolder } from '../../../helpers/store.ts'

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')

test('what is published is found by key, definition key and digest', async (t) => {
  const { store } = await openStore(t)
  const made = await publish(store, 'a', { files: { 'b/c': 'hello', a: 'x' } })
  assert.deepEqual(store.lookup(keyOf('a')), made)
  assert.deepEqual(store.lookupDefinition(keyOf('definition of a')), made)
  assert.deepEqual(store.object(made.digest), made)
  assert.equal(store.lookup(keyOf('other')), undefined)
  assert.equal(readFileSync(join(made.path, 'b/c'), 'utf8'), 'hello')
  assert.deepEqual(store.manifest(keyOf('a')), { label: 'a' })
  assert.equal(readFileSync(store.log(keyOf('a'))!, 'utf8'), 'log of a\n')
  assert.deepEqual((await store.verify()).problems, [])
})

test('the digest is the sha256 of the documented listing', async (t) => {
  const { store } = await openStore(t)
  const chunks = sha256(createHash('sha256').update('image').digest())
  const made = await publish(store, 'a', {
    files: { ö: 'b', 'd/e': 'a', disk: 'image', 'd-e': '' },
    declared: new Map([['disk', { chunks }]]),
  })
  const file = (path: string, text: string): string =>
    `{"executable":false,"path":"${path}","sha256":"${sha256(text)}","size":${text.length},"type":"file"}`
  const listing = [
    '{"entries":[{"path":"d","type":"directory"}',
    file('d-e', ''),
    file('d/e', 'a'),
    `{"chunks":"${chunks}","executable":false,"path":"disk","size":5,"type":"file"}`,
    `${file('ö', 'b')}],"format":1}`,
  ].join(',')
  assert.equal(made.digest, sha256(listing))
  assert.deepEqual((await store.verify()).problems, [], 'verify computes the chunks as declared')
})

test('an object is uniform: modes, times, and its place', async (t) => {
  const { store } = await openStore(t)
  const workspace = await store.workspace()
  mkdirSync(join(workspace.out, 'folder'), { mode: 0o700 })
  writeFileSync(join(workspace.out, 'folder/secretive'), 'x', { mode: 0o600 })
  writeFileSync(join(workspace.out, 'program'), 'x')
  chmodSync(join(workspace.out, 'program'), 0o4751)
  symlinkSync('nowhere/at all', join(workspace.out, 'link'))
  const request = {
    key: keyOf('a'),
    definitionKey: keyOf('d'),
    manifest: {},
    declared: new Map(),
    inputs: [],
    ms: 1,
  }
  const { path, digest } = await store.publish({ workspace, name: 'of ../a/strange name', ...request })
  const look = (name: string): [string, number] => {
    const { mode, mtimeMs } = lstatSync(join(path, name))
    return [(mode & 0o7777).toString(8), mtimeMs]
  }
  assert.deepEqual(look('folder'), ['555', 1000])
  assert.deepEqual(look('folder/secretive'), ['444', 1000])
  assert.deepEqual(look('program'), ['555', 1000])
  assert.equal(look('link')[1], 1000)
  assert.equal(
    path,
    join(store.folder, 'objects', digest.slice(0, 2), `${digest}-of_.._a_strange_name`, 'out'),
  )
  assert.deepEqual(readdirSync(join(path, '..')), ['meta.json', 'out'])
  await store.discard(workspace)
  assert.equal(existsSync(workspace.folder), false)
})

test('the same bytes from another key are the same object', async (t) => {
  const { store } = await openStore(t)
  const first = await publish(store, 'a', { files: { x: 'same' } })
  const second = await publish(store, 'b', { files: { x: 'same' }, name: 'customize' })
  assert.equal(second.path, first.path)
  assert.equal((await store.verify()).objects, 1)
  assert.equal(store.lookup(keyOf('a'))?.path, store.lookup(keyOf('b'))?.path)
})

test('one key published twice at once is one object', async (t) => {
  const { store } = await openStore(t)
  const make = () => publish(store, 'a', { files: { 'd/x': 'same' } })
  const [one, two] = await Promise.all([make(), make()])
  assert.equal(one.path, two.path)
  assert.deepEqual((await store.verify()).problems, [])
})

test('a publish that fails after its rename takes it back, and can be tried again', async (t) => {
  const { store } = await openStore(t)
  t.after(() => onTracePoint(undefined))
  onTracePoint((name) => {
    if (name === 'publish.registered') throw new Error('no')
  })
  const workspace = await store.workspace()
  writeFileSync(join(workspace.out, 'x'), '1')
  const request = {
    key: keyOf('a'),
    definitionKey: keyOf('d'),
    manifest: {},
    declared: new Map(),
    inputs: [],
    ms: 1,
  }
  await assert.rejects(store.publish({ workspace, name: 'x', ...request }), { message: 'no' })
  assert.deepEqual((await store.verify()).problems, [])
  onTracePoint(undefined)
  await store.publish({ workspace, name: 'x', ...request })
  assert.ok(store.lookup(keyOf('a')))
})

test("a living process's workspace is not swept", async (t) => {
  const { store } = await openStore(t)
  const workspace = await store.workspace()
  const { store: other } = await openStore(t, store.folder)
  await other.gc()
  assert.ok(existsSync(workspace.out))
})

const unfit: { title: string; fill: (workspace: Workspace) => void; says: RegExp }[] = [
  {
    title: 'a pipe',
    fill: ({ out }) => execFileSync('mkfifo', [join(out, 'pipe')]),
    says: /"pipe" is neither a file, a folder nor a symlink/,
  },
  {
    title: 'a name that is not UTF-8',
    fill: ({ out }) => writeFileSync(Buffer.concat([Buffer.from(`${out}/`), Buffer.from([0xff])]), ''),
    says: /is not UTF-8/,
  },
  {
    title: 'a hard link to a file elsewhere',
    fill: ({ out, tmp }) => {
      writeFileSync(join(tmp, 'mine'), 'x')
      linkSync(join(tmp, 'mine'), join(out, 'yours'))
    },
    says: /yours is a hard link to a file outside/,
  },
]

for (const { title, fill, says } of unfit) {
  test(`${title} cannot be published, and leaves nothing`, async (t) => {
    const { store } = await openStore(t)
    const workspace = await store.workspace()
    fill(workspace)
    const request = {
      key: keyOf('a'),
      definitionKey: keyOf('d'),
      manifest: {},
      declared: new Map(),
      inputs: [],
      ms: 1,
    }
    await assert.rejects(store.publish({ workspace, name: 'x', ...request }), {
      code: 'E_STAGE',
      message: says,
    })
    await store.discard(workspace)
    assert.equal(store.lookup(keyOf('a')), undefined)
    assert.deepEqual(readdirSync(join(store.folder, 'stage')), [])
    assert.deepEqual((await store.verify()).problems, [])
  })
}

test('hard links within an output are two files of one content', async (t) => {
  const { store } = await openStore(t)
  const linked = await store.workspace()
  writeFileSync(join(linked.out, 'a'), 'x')
  linkSync(join(linked.out, 'a'), join(linked.out, 'b'))
  const request = {
    key: keyOf('a'),
    definitionKey: keyOf('d'),
    manifest: {},
    declared: new Map(),
    inputs: [],
    ms: 1,
  }
  const { digest } = await store.publish({ workspace: linked, name: 'x', ...request })
  assert.equal(digest, (await publish(store, 'b', { files: { a: 'x', b: 'x' } })).digest)
})

test('a stage that declares a file which it did not make is told so', async (t) => {
  const { store } = await openStore(t)
  const declared = new Map([['disk.img', { sha256: sha256('') }]])
  await assert.rejects(publish(store, 'a', { files: {}, declared }), {
    code: 'E_STAGE',
    message: /disk\.img/,
  })
})

test('a result whose folder is gone is a miss with a tombstone, and can be published again', async (t) => {
  const { store } = await openStore(t)
  const { path } = await publish(store, 'a', { files: { x: '1' } })
  await removeTree(join(path, '..'))
  assert.equal(store.lookup(keyOf('a')), undefined)
  assert.equal(store.tombstone(keyOf('a'))?.reason, 'lost')
  await publish(store, 'a', { files: { x: '1' } })
  assert.ok(store.lookup(keyOf('a')))
  assert.equal(store.tombstone(keyOf('a')), undefined)
})

test('a folder that no row knows gives way to the object that belongs there', async (t) => {
  const { store } = await openStore(t)
  const { path, digest } = await publish(store, 'a', { files: { x: '1' } })
  const { store: other } = await openStore(t)
  const orphan = join(other.folder, 'objects', digest.slice(0, 2), basename(join(path, '..')))
  mkdirSync(join(orphan, 'out'), { recursive: true })
  writeFileSync(join(orphan, 'out/half'), '')
  const made = await publish(other, 'a', { files: { x: '1' } })
  assert.deepEqual(readdirSync(made.path), ['x'])
})

test('early cutoff: a new key gets an object that is here, and one that is not is refused', async (t) => {
  const { store } = await openStore(t)
  const made = await publish(store, 'a', { files: { x: '1' } })
  store.recordTrace({
    key: keyOf('b'),
    definitionKey: keyOf('db'),
    digest: made.digest,
    manifest: { m: '1' },
    ms: 3,
  })
  store.recordDefinition(keyOf('dc'), made.digest)
  assert.equal(store.lookup(keyOf('b'))?.digest, made.digest)
  assert.equal(store.lookupDefinition(keyOf('db'))?.digest, made.digest)
  assert.equal(store.lookupDefinition(keyOf('dc'))?.digest, made.digest)
  const trace = { key: keyOf('z'), digest: sha256('none') as Digest, manifest: {}, ms: 0 }
  assert.throws(() => store.recordTrace(trace), { code: 'E_STORE' })
  assert.throws(() => store.recordDefinition(keyOf('z'), trace.digest), { code: 'E_STORE' })
})

test('what was not recorded leaves no lease that only this process believes in', async (t) => {
  const { store } = await openStore(t)
  const { digest } = await publish(store, 'a', { files: { x: '1' } })
  store.releaseLeases()
  const manifest = { big: 1n } as unknown as Record<string, string>
  assert.throws(() => store.recordTrace({ key: keyOf('b'), digest, manifest, ms: 0 }), TypeError)
  assert.ok(store.lookup(keyOf('a')))
  assert.deepEqual((await store.gc()).evicted, [])
})

test('the log of a failed run is kept, and its workspace may go', async (t) => {
  const { store } = await openStore(t)
  const workspace = await store.workspace()
  writeFileSync(workspace.log, 'it broke\n')
  const kept = await store.keepFailedLog(workspace, keyOf('a'))
  await store.discard(workspace)
  await store.discard(workspace)
  assert.equal(store.log(keyOf('a')), kept)
  assert.equal(readFileSync(kept, 'utf8'), 'it broke\n')
  assert.equal(store.log(keyOf('b')), undefined)
})

test('runs: the last 20 that differ are kept, the latest first', async (t) => {
  const { store } = await openStore(t)
  assert.equal(store.previousRun('sample', 'overlay'), undefined)
  for (let i = 0; i < 25; i++) {
    store.recordRun('sample', 'overlay', keyOf(`${i}`), { i: `${i}` })
    store.recordRun('sample', 'overlay', keyOf(`${i}`), { i: `${i}` })
  }
  store.recordRun('sample', 'save', keyOf('s'), { s: '' })
  const runs = store.runs('sample', 'overlay')
  assert.deepEqual(
    runs.map(({ manifest }) => manifest.i),
    Array.from({ length: 20 }, (_, i) => `${24 - i}`),
  )
  assert.deepEqual(store.previousRun('sample', 'overlay'), runs[0])
  assert.equal(store.previousRun('sample', 'overlay')?.key, keyOf('24'))
})

test('deployments and roots are replaced as a whole', async (t) => {
  const { store } = await openStore(t)
  assert.equal(store.deployment('sign /home'), undefined)
  const files = [{ path: 'out/a', sha256: sha256(''), kind: 'image' }]
  store.recordDeployment('sign /home', keyOf('a'), [])
  store.recordDeployment('sign /home', keyOf('b'), files)
  assert.deepEqual(store.deployment('sign /home'), { key: keyOf('b'), files })
  const [one, two] = [sha256('1'), sha256('2')] as [Digest, Digest]
  store.setRoot('sample', [two, one, one], '/home')
  store.setRoot('sample', [one], '/home')
  store.setRoot('debian', [two], '/srv')
  assert.deepEqual(store.roots(), [
    { name: 'debian', digests: [two], folder: '/srv' },
    { name: 'sample', digests: [one], folder: '/home' },
  ])
  assert.equal(store.removeRoot('debian'), true)
  assert.equal(store.removeRoot('debian'), false)
})

test('closing takes workspaces and leases away, and may be done twice', async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  const { store } = await openStore(t, folder)
  await publish(store, 'a', { files: { x: '1' } })
  const workspace = await store.workspace()
  mkdirSync(join(workspace.out, 'locked'))
  chmodSync(join(workspace.out, 'locked'), 0o555)
  await store.close()
  await store.close()
  assert.deepEqual(readdirSync(join(folder, 'stage')), [])
  assert.deepEqual(readdirSync(join(folder, 'leases')), [])
  assert.deepEqual(readdirSync(folder).sort(), [
    ...['CACHEDIR.TAG', 'carried', 'db.sqlite', 'leases', 'locks', 'logs', 'memo', 'objects', 'reserved'],
    ...['stage', 'version'],
  ])
})
