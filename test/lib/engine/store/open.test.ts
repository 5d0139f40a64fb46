import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import Database from 'better-sqlite3'
import type { Digest } from '../../../../lib/engine/stage.ts'
import { loadSqlite } from '../../../../lib/engine/store/sqlite.ts'
import { Store } from '../../../../lib/engine/store/store.ts'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { atEnd, keyOf, openStore, publish, temporaryFolder } from '../../../helpers/store.ts'
import { startStoreProcess } from '../../../helpers/store-processes.ts'

const needsRoot = process.geteuid?.() === 0 ? {} : { skip: 'needs root' }
const nobody = 65534

/** A closed store with one object. */
async function stocked(t: TestContext): Promise<string> {
  const folder = join(temporaryFolder(t), 'store')
  const { store } = await openStore(t, folder)
  await publish(store, 'a', { files: { x: '1' } })
  await store.close()
  return folder
}

function mountTmpfs(t: TestContext, folder: string, options: string): void {
  mkdirSync(folder, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder])
  atEnd(t, async () => void execFileSync('umount', ['-l', folder]))
}

const refused: {
  title: string
  spoil: (folder: string) => void
  code: string
  says: RegExp
  hint: RegExp
}[] = [
  {
    title: 'a newer store, by its version file',
    spoil: (folder) => writeFileSync(join(folder, 'version'), '2\n'),
    code: 'E_STORE',
    says: /version 2; this program knows 1/,
    hint: /newer fleetsie/,
  },
  {
    title: 'a newer store, by its database',
    spoil: (folder) => {
      const db = new Database(join(folder, 'db.sqlite'))
      db.pragma('user_version = 7')
      db.close()
    },
    code: 'E_STORE',
    says: /version 7/,
    hint: /newer fleetsie/,
  },
  {
    title: 'a version that is no number',
    spoil: (folder) => writeFileSync(join(folder, 'version'), 'one\n'),
    code: 'E_STORE',
    says: /not a number/,
    hint: /move .* away/,
  },
  {
    title: 'a database of other bytes',
    spoil: (folder) => writeFileSync(join(folder, 'db.sqlite'), Buffer.alloc(64 * 1024, 'x')),
    code: 'E_STORE',
    says: /database is damaged/,
    hint: /move db\.sqlite, .* out of the store/,
  },
  {
    title: 'a truncated database',
    spoil: (folder) => truncateSync(join(folder, 'db.sqlite'), 5000),
    code: 'E_STORE',
    says: /database is damaged/,
    hint: /move db\.sqlite, .* out of the store/,
  },
]

for (const { title, spoil, code, says, hint } of refused) {
  test(`${title} is refused, with file and remedy`, async (t) => {
    const folder = await stocked(t)
    spoil(folder)
    const use = async (): Promise<void> => {
      const { store } = await openStore(t, folder)
      await store.verify()
    }
    await assert.rejects(use(), (error: FleetsieError) => {
      assert.equal(error.code, code)
      assert.match(error.message, says)
      assert.match(error.hint ?? '', hint)
      assert.ok(error.file?.startsWith(folder))
      return true
    })
  })
}

test('with the damaged database moved away, the store works again', async (t) => {
  const folder = await stocked(t)
  for (const name of readdirSync(folder)) {
    if (name.startsWith('db.sqlite')) execFileSync('mv', [join(folder, name), join(folder, '..')])
  }
  const { store } = await openStore(t, folder)
  assert.equal(store.lookup(keyOf('a')), undefined)
  await publish(store, 'a', { files: { x: '1' } })
  await publish(store, 'b', { files: { x: '2' } })
  assert.deepEqual((await store.verify()).problems, [])
})

test('a folder with other things in it is not made a store', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'thesis.txt'), '')
  await assert.rejects(Store.open(folder), { code: 'E_UNSAFE', message: /thesis\.txt/, file: folder })
  const other = temporaryFolder(t)
  mkdirSync(join(other, 'objects/mine'), { recursive: true })
  await assert.rejects(Store.open(other), { code: 'E_UNSAFE', message: /objects/ })
  assert.deepEqual(readdirSync(other), ['objects'])
  await assert.rejects(Store.open(join(folder, 'thesis.txt')), { code: 'E_IO', hint: /FLEETSIE_STORE/ })
})

test('a store that was half made is finished', async (t) => {
  const folder = temporaryFolder(t)
  for (const name of ['objects', 'stage']) mkdirSync(join(folder, name))
  writeFileSync(join(folder, 'CACHEDIR.TAG.123'), 'Sig')
  const { store } = await openStore(t, folder)
  await publish(store, 'a', { files: { x: '1' } })
  assert.match(
    readFileSync(join(folder, 'CACHEDIR.TAG'), 'utf8'),
    /^Signature: 8a477f597d28d172789f06886806bc55\n/,
  )
})

test('a module that does not load is a missing tool, and the error says for which Node', () => {
  const load = (): never => {
    throw new Error('was compiled against NODE_MODULE_VERSION 115\nmore')
  }
  assert.throws(() => loadSqlite(load), {
    code: 'E_TOOL',
    message: new RegExp(`Node ${process.versions.node} .*NODE_MODULE_VERSION 115$`),
    hint: /npm rebuild better-sqlite3/,
  })
})

test('processes that make the same store at once all succeed', async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  const processes = ['a', 'a', 'b'].map((label) => startStoreProcess([folder, 'publish', label]))
  const digests = await Promise.all(processes.map((other) => other.line()))
  for (const other of processes) {
    const { code, stderr } = await other.end()
    assert.equal(code, 0, stderr)
  }
  assert.equal(digests[0], digests[1])
  const { store } = await openStore(t, folder)
  assert.equal(store.lookup(keyOf('b'))?.digest, digests[2])
  const { objects, problems } = await store.verify()
  assert.deepEqual([objects, problems], [2, []])
})

test('opened for reading only, it finds and leases nothing, and refuses to write', async (t) => {
  const folder = await stocked(t)
  const { store } = await openStore(t, folder, { readOnly: true })
  assert.ok(store.lookup(keyOf('a')))
  store.recordRun('sample', 'save', keyOf('a'), {})
  assert.equal(store.previousRun('sample', 'save'), undefined)
  for (const write of [() => store.workspace(), () => store.gc(), () => store.lock(keyOf('a'), () => {})]) {
    await assert.rejects(write, { code: 'E_IO', file: folder })
  }
  assert.deepEqual(readdirSync(join(folder, 'leases')), [])
  assert.deepEqual((await store.verify()).problems, [])
  await assert.rejects(Store.open(join(folder, 'none'), { readOnly: true }), { code: 'E_STORE' })
})

test('on a read-only disk it can be read, and writing names the remedy', needsRoot, async (t) => {
  const folder = await stocked(t)
  execFileSync('mount', ['--bind', folder, folder])
  atEnd(t, async () => void execFileSync('umount', ['-l', folder]))
  execFileSync('mount', ['-o', 'remount,bind,ro', folder])
  await assert.rejects(openStore(t, folder), { code: 'E_IO', hint: /FLEETSIE_STORE/ })
  const { store } = await openStore(t, folder, { readOnly: true })
  assert.ok(store.lookup(keyOf('a')))
})

test("another user's store can be read, and writing names the remedy", needsRoot, async (t) => {
  const folder = await stocked(t)
  chmodSync(join(folder, '..'), 0o755)
  const other = startStoreProcess([folder, 'publish', 'b'], { uid: nobody, gid: nobody })
  const { code, stderr } = await other.end()
  assert.notEqual(code, 0)
  assert.match(stderr, /the store cannot be written/)
})

test('without the rights of root, publishing and gc work on read-only folders', needsRoot, async (t) => {
  const parent = temporaryFolder(t)
  chownSync(parent, nobody, nobody)
  const folder = join(parent, 'store')
  for (const args of [['publish', 'a'], ['publish', 'b'], ['gc']]) {
    const user = startStoreProcess([folder, ...args], { uid: nobody, gid: nobody })
    const line = await user.line()
    const { code, stderr } = await user.end()
    assert.equal(code, 0, stderr)
    if (args[0] === 'gc') assert.equal(line, '2')
  }
})

test("what root makes in a user's store is the user's, who can go on with it", needsRoot, async (t) => {
  const parent = temporaryFolder(t)
  chownSync(parent, nobody, nobody)
  const folder = join(parent, 'cache/store')
  const { store } = await openStore(t, folder)
  const lock = await store.lock(keyOf('k'), () => {})
  await publish(store, 'a', { files: { 'deep/x': '1' } })
  await store.workspace()
  const owners = (path: string): string[] => {
    const { uid, gid } = lstatSync(path)
    const below = lstatSync(path).isDirectory()
      ? readdirSync(path).flatMap((name) => owners(join(path, name)))
      : []
    return uid === nobody && gid === nobody ? below : [path, ...below]
  }
  assert.deepEqual(owners(join(parent, 'cache')), [])
  lock.release()
  await store.close()
  const user = startStoreProcess([folder, 'gc'], { uid: nobody, gid: nobody })
  assert.equal(await user.line(), '1')
  assert.equal((await user.end()).code, 0)
})

/** Four objects on a small disk, and a fifth that is ready to be published when the disk becomes full. */
async function fullDisk(t: TestContext) {
  const folder = join(temporaryFolder(t), 'store')
  mountTmpfs(t, folder, 'size=40m')
  const { store, events } = await openStore(t, folder)
  const digests: Digest[] = []
  for (const label of ['a', 'b', 'c', 'd']) {
    const { digest } = await publish(store, label, { files: { x: Buffer.alloc(4 * 1024 * 1024, label) } })
    digests.push(digest)
  }
  const workspace = await store.workspace()
  writeFileSync(join(workspace.out, 'x'), 'small')
  const fill = (): void => {
    const write = (): void => writeFileSync(join(workspace.tmp, 'x'), Buffer.alloc(64 * 1024 * 1024))
    assert.throws(write, { code: 'ENOSPC' })
  }
  const facts = { definitionKey: keyOf('d'), manifest: {}, declared: new Map(), inputs: [], ms: 1 }
  const publishFifth = () => store.publish({ workspace, key: keyOf('e'), name: 'x', ...facts })
  return { store, events, digests, fill, publishFifth }
}

test('a full disk: the least recently used goes, and the publish succeeds', needsRoot, async (t) => {
  const { store, events, digests, fill, publishFifth } = await fullDisk(t)
  store.releaseLeases()
  store.lookup(keyOf('a'))
  fill()
  const { digest } = await publishFifth()
  assert.equal(store.lookup(keyOf('e'))?.digest, digest)
  const told = events.map((event) =>
    event.type === 'evicted' ? `${event.object} ${event.reason}` : event.type,
  )
  assert.deepEqual(
    told,
    digests.slice(1).map((object) => `${object} disk-full`),
  )
  assert.equal(store.tombstone(keyOf('b'))?.reason, 'disk-full')
  assert.ok(store.lookup(keyOf('a')), 'what is in use stays')
  assert.deepEqual((await store.verify()).problems, [])
})

test('a full disk: what is there is found and leased', needsRoot, async (t) => {
  const { store, digests, fill } = await fullDisk(t)
  store.releaseLeases()
  fill()
  assert.equal(store.lookup(keyOf('a'))?.digest, digests[0])
})

test('a full disk and all in use: the error says what to do', needsRoot, async (t) => {
  const { store, events, fill, publishFifth } = await fullDisk(t)
  fill()
  const full = { code: 'E_IO', message: /disk is full/, hint: /fleetsie gc/ }
  await assert.rejects(publishFifth(), full)
  assert.deepEqual(events, [])
  assert.deepEqual((await store.verify()).problems, [])
})

test('less than minFree: it evicts until twice that is free, and no more', needsRoot, async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  const mib = 1024 * 1024
  mountTmpfs(t, folder, 'size=64m')
  const { store, events } = await openStore(t, folder, { minFree: 8 * mib })
  for (let i = 0; i < 20; i++) {
    await publish(store, `${i}`, { files: { x: Buffer.alloc(4 * mib, `${i}`), i: `${i}` } })
    store.releaseLeases()
  }
  assert.equal(events.length > 0 && events.every(({ type }) => type === 'evicted'), true)
  assert.equal(store.lookup(keyOf('0')), undefined)
  assert.ok(store.lookup(keyOf('19')))
  const { objects } = await store.verify()
  assert.equal(objects, 20 - events.length)
  assert.equal(existsSync(join(folder, 'reserved')), false, 'no reserve on a disk this small')
})
