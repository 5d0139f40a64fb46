import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Store } from '../../../../lib/engine/store/store.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { atEnd, openStore, temporaryFolder } from '../../../helpers/store.ts'

const content = Buffer.from('a result')

function entries(store: Store): string[] {
  const memo = join(store.folder, 'memo')
  return readdirSync(memo, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
}

test('what is put is found by its key, in this process and others, and replaced by what is put later', async (t) => {
  const { store } = await openStore(t)
  const memo = await store.memo()
  assert.equal(await memo.get('key'), undefined)
  await memo.put('key', content)
  assert.deepEqual(await memo.get('key'), content)
  const { store: other } = await openStore(t, store.folder)
  await (await other.memo()).put('key', Buffer.alloc(0))
  assert.deepEqual(await memo.get('key'), Buffer.alloc(0))
  assert.equal(await memo.get('KEY'), undefined)
  assert.deepEqual(readdirSync(join(store.folder, 'stage')), [])
})

test('more than 64 MiB is not kept', async (t) => {
  const { store } = await openStore(t)
  const memo = await store.memo()
  await memo.put('large', Buffer.alloc(64 * 1024 * 1024 + 1))
  assert.equal(await memo.get('large'), undefined)
  assert.deepEqual(entries(store), [])
})

function flip(file: string, offset: number): void {
  const bytes = readFileSync(file)
  bytes[offset]! ^= 1
  writeFileSync(file, bytes)
}

const damages: [string, (file: string, store: Store) => Promise<void> | void][] = [
  ['a flipped byte of the content', (file) => flip(file, 40)],
  ['a flipped byte of the sum', (file) => flip(file, 8)],
  ['a flipped byte of the magic', (file) => flip(file, 0)],
  ['a missing end', (file) => truncateSync(file, 44)],
  ['nothing but its size', (file) => writeFileSync(file, Buffer.alloc(48))],
  ['no content at all', (file) => truncateSync(file, 0)],
  ['an end of its own', (file) => appendFileSync(file, 'x')],
  ['more than any entry has', (file) => truncateSync(file, 65 * 1024 * 1024)],
  [
    'the content of another',
    async (file, store) => {
      await (await store.memo()).put('other', content)
      renameSync(entries(store).find((other) => other !== file)!, file)
    },
  ],
]

for (const [title, damage] of damages) {
  test(`an entry with ${title} is dropped and said, once`, async (t) => {
    const { store, events } = await openStore(t)
    const memo = await store.memo()
    await memo.put('key', content)
    const [file] = entries(store)
    await damage(file!, store)
    const { problems, ok } = await store.verify()
    assert.deepEqual(
      [problems, ok],
      [[{ path: file, problem: 'has another content', repaired: false }], false],
    )
    assert.equal(await memo.get('key'), undefined)
    assert.deepEqual(entries(store), [])
    const message = `a result kept in ${file} was damaged; it is dropped and made again`
    assert.deepEqual(events, [{ type: 'warning', message }])
    await memo.put('key', content)
    await damage(file!, store)
    assert.equal(await memo.get('key'), undefined)
    assert.equal(events.length, 1)
  })
}

test('verify --repair drops damaged entries and no others', async (t) => {
  const { store } = await openStore(t)
  const memo = await store.memo()
  await memo.put('bad', content)
  flip(entries(store)[0]!, 41)
  await memo.put('good', content)
  const { memoEntries, problems, ok } = await store.verify({ repair: true })
  assert.deepEqual([memoEntries, problems.length, ok], [2, 1, true])
  assert.equal((await store.verify()).memoEntries, 1)
  assert.deepEqual(await memo.get('good'), content)
})

test('what is read was used, to the hour', async (t) => {
  const { store } = await openStore(t)
  const memo = await store.memo()
  await memo.put('key', content)
  const [file] = entries(store)
  const long = Date.now() / 1000 - 5000
  utimesSync(file!, long, long)
  await memo.get('key')
  assert.ok(statSync(file!).mtimeMs / 1000 > long + 4000)
})

function smallDisk(t: TestContext, size: string): string {
  const folder = join(temporaryFolder(t), 'store')
  mkdirSync(folder)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'fleetsie-test', folder])
  atEnd(t, async () => void execFileSync('umount', [folder]))
  return folder
}

test('a full or read-only disk is no failure', { skip: needsRoot }, async (t) => {
  const { store } = await openStore(t, smallDisk(t, '2m'))
  const memo = await store.memo()
  await memo.put('small', content)
  await memo.put('large', Buffer.alloc(4 * 1024 * 1024))
  assert.equal(await memo.get('large'), undefined)
  assert.deepEqual(await memo.get('small'), content)
  assert.deepEqual(readdirSync(join(store.folder, 'stage')), [])
  const folder = join(store.folder, 'memo')
  execFileSync('mount', ['--bind', folder, folder])
  atEnd(t, async () => void execFileSync('umount', [folder]))
  execFileSync('mount', ['-o', 'remount,bind,ro', folder])
  await memo.put('late', content)
  assert.equal(await memo.get('late'), undefined)
  assert.deepEqual(await memo.get('small'), content)
})

test('a large entry that was read once is found in memory by all memos of a store, until it is put again', async (t) => {
  const { store } = await openStore(t)
  const large = Buffer.alloc(1024 * 1024, 7)
  await (await store.memo()).put('large', large)
  assert.deepEqual(await (await store.memo()).get('large'), large)
  for (const file of entries(store)) writeFileSync(file, 'gone bad')
  assert.deepEqual(await (await store.memo()).get('large'), large)
  await (await store.memo()).put('large', Buffer.alloc(512 * 1024, 8))
  assert.deepEqual(await (await store.memo()).get('large'), Buffer.alloc(512 * 1024, 8))
})

test('what is held in memory has a limit: the entry unused longest is read from the disk again', async (t) => {
  const { store } = await openStore(t)
  const memo = await store.memo()
  for (const name of ['a', 'b', 'c']) {
    await memo.put(name, Buffer.alloc(20 * 1024 * 1024, name))
    await memo.get(name)
  }
  for (const file of entries(store)) writeFileSync(file, 'gone bad')
  assert.equal(await memo.get('a'), undefined)
  assert.deepEqual(await memo.get('c'), Buffer.alloc(20 * 1024 * 1024, 'c'))
})
