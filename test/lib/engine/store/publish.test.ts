import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { removeTree } from '../../../../lib/engine/store/remove.ts'
import { onTracePoint } from '../../../../lib/engine/trace.ts'
import { keyOf, openStore, publish } from '../../../helpers/store.ts'

const handle = await open(import.meta.filename)
const FileHandle = Object.getPrototypeOf(handle) as typeof handle
await handle.close()

test('every file and folder of an object is on the disk before a row names it', async (t) => {
  const { store } = await openStore(t)
  const synced = new Set<number>()
  const original = FileHandle.sync
  t.mock.method(FileHandle, 'sync', async function (this: typeof handle) {
    synced.add((await this.stat()).ino)
    await original.call(this)
  })
  let before = 0
  t.after(() => onTracePoint(undefined))
  onTracePoint((name) => {
    if (name === 'publish.began') before = synced.size
  })
  const files = { a: 'one', 'folder/b': 'two', 'folder/deeper/c': Buffer.alloc(3_000_000) }
  const { path } = await publish(store, 'a', { files })
  const object = dirname(path)
  const names = ['', ...readdirSync(object, { recursive: true, encoding: 'utf8' })]
  assert.equal(names.length, 8)
  for (const name of names) assert.ok(synced.has(statSync(join(object, name)).ino), name)
  assert.equal(before, synced.size)
})

test('a row that outlived a power cut without its folder is no result', async (t) => {
  const { store } = await openStore(t)
  const { path, digest } = await publish(store, 'a', { files: { a: 'one' } })
  await store.close()
  await removeTree(dirname(path))
  const { store: next } = await openStore(t, store.folder)
  assert.equal(next.lookup(keyOf('a')), undefined)
  const again = await publish(next, 'a', { files: { a: 'one' } })
  assert.deepEqual([again.digest, next.lookup(keyOf('a'))?.path], [digest, path])
})
