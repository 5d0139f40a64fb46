import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import Database from 'better-sqlite3'
import type { FileDigest } from '../../../../lib/engine/stage.ts'
import type { Store } from '../../../../lib/engine/store/store.ts'
import { openStore, publish, temporaryFolder } from '../../../helpers/store.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const lie = 'f'.repeat(64)

/** A file with the content "one", written `age` ms ago by the store's clock. */
async function setUp(
  t: TestContext,
  age: number,
): Promise<{ store: Store; file: string; remembered(): boolean }> {
  const folder = temporaryFolder(t)
  const file = join(folder, 'file')
  writeFileSync(file, 'one')
  t.mock.timers.enable({ apis: ['Date'], now: statSync(file).ctimeMs + age })
  const { store } = await openStore(t, join(folder, 'store'))
  // Whoever gets the lie was answered from memory, not by reading the file.
  const remembered = (): boolean => {
    const db = new Database(join(folder, 'store/db.sqlite'))
    const { changes } = db.prepare('UPDATE statcache SET sha256 = ?').run(lie)
    db.close()
    return changes > 0
  }
  return { store, file, remembered }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

test('a file that is old enough is hashed once', async (t) => {
  const { store, file, remembered } = await setUp(t, 2100)
  assert.equal(await store.sha256(file), sha256('one'))
  assert.equal(await store.sha256(file), sha256('one'))
  await settle()
  assert.equal(remembered(), true)
  assert.equal(await store.sha256(file), lie)
})

test('a file that changed less than 2 s before it was hashed is not remembered', async (t) => {
  const { store, file, remembered } = await setUp(t, 1900)
  assert.equal(await store.sha256(file), sha256('one'))
  await settle()
  assert.equal(remembered(), false)
  writeFileSync(file, 'two')
  assert.equal(await store.sha256(file), sha256('two'))
})

test('an mtime that was set back does not hide a recent change', async (t) => {
  const { store, file, remembered } = await setUp(t, 1900)
  utimesSync(file, 1_000_000_000, 1_000_000_000)
  await store.sha256(file)
  await settle()
  assert.equal(remembered(), false)
})

test('a recent mtime alone is reason enough', async (t) => {
  const { store, file, remembered } = await setUp(t, 60_000)
  const soon = (statSync(file).ctimeMs + 59_000) / 1000
  utimesSync(file, soon, soon)
  await store.sha256(file)
  await settle()
  assert.equal(remembered(), false)
})

const changes: { title: string; change: (file: string) => void }[] = [
  {
    title: 'another content of the same size and mtime',
    change: (file) => {
      const { atime, mtime } = statSync(file)
      writeFileSync(file, 'two')
      utimesSync(file, atime, mtime)
    },
  },
  {
    title: 'another file moved into its place',
    change: (file) => {
      writeFileSync(`${file}.new`, 'two')
      renameSync(`${file}.new`, file)
    },
  },
]

for (const { title, change } of changes) {
  test(`${title} is hashed again`, async (t) => {
    const { store, file, remembered } = await setUp(t, 5000)
    await store.sha256(file)
    await settle()
    assert.equal(remembered(), true)
    change(file)
    assert.equal(await store.sha256(file), sha256('two'))
  })
}

test('it remembers across processes, and gc forgets files that are gone', async (t) => {
  const { store, file, remembered } = await setUp(t, 5000)
  await store.sha256(file)
  await store.close()
  const { store: next } = await openStore(t, store.folder)
  assert.equal(remembered(), true)
  assert.equal(await next.sha256(file), lie)
  renameSync(file, `${file}.gone`)
  await next.gc()
  assert.equal(remembered(), false)
})

test('a file is not read while it is as whoever wrote it left it', async (t) => {
  const { store, file } = await setUp(t, 0)
  store.rememberSha256(file, lie)
  assert.equal(await store.sha256(file), lie)
  await store.close()
  const { store: next } = await openStore(t, store.folder)
  assert.equal(await next.sha256(file), lie)
  writeFileSync(file, 'two')
  assert.equal(await next.sha256(file), sha256('two'))
})

test('of an object, large files are known already; small ones and those of another digest are read', async (t) => {
  const { store } = await openStore(t)
  const files = { large: Buffer.alloc(1024 * 1024), small: 'one', image: Buffer.alloc(1024 * 1024) }
  const declared = new Map<string, FileDigest>([
    ['large', { sha256: lie }],
    ['small', { sha256: lie }],
    ['image', { chunks: lie }],
  ])
  const { path } = await publish(store, 'a', { files, declared })
  assert.equal(await store.sha256(join(path, 'large')), lie)
  assert.equal(await store.sha256(join(path, 'small')), sha256('one'))
  assert.notEqual(await store.sha256(join(path, 'image')), lie)
})

test('an object that was here before is not taken for what was published again', async (t) => {
  const { store } = await openStore(t)
  const files = { large: Buffer.alloc(1024 * 1024) }
  const output = { files, declared: new Map<string, FileDigest>([['large', { sha256: lie }]]) }
  const { path } = await publish(store, 'a', output)
  const file = join(path, 'large')
  chmodSync(file, 0o644)
  writeFileSync(file, 'damaged')
  await publish(store, 'b', output)
  assert.equal(await store.sha256(file), sha256('damaged'))
})

test('what is no file is refused', async (t) => {
  const { store, file } = await setUp(t, 0)
  mkdirSync(`${file}.d`)
  await assert.rejects(store.sha256(`${file}.d`), { code: 'E_INPUT', file: `${file}.d` })
  await assert.rejects(store.sha256(`${file}.none`), { code: 'ENOENT' })
})

test('a program is asked for its version once', async (t) => {
  const { store } = await setUp(t, 0)
  assert.equal(await store.toolVersion(lie, async () => '1.2'), '1.2')
  assert.equal(await store.toolVersion(lie, async () => assert.fail('asked again')), '1.2')
})
