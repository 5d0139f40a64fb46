import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type FileLock, tryFileLock } from '../../../../lib/engine/store/file-lock.ts'
import { Layout } from '../../../../lib/engine/store/layout.ts'
import { loadSqlite, type Sqlite } from '../../../../lib/engine/store/sqlite.ts'
import { keyOf, openStore, temporaryFolder } from '../../../helpers/store.ts'
import { startStoreProcess } from '../../../helpers/store-processes.ts'

const noWait = (holder: string): void => assert.fail(`waits for ${holder}`)

test('one process gets the lock of a key once at a time, in turn', async (t) => {
  const { store } = await openStore(t)
  let inside = 0
  let waits = 0
  await Promise.all(
    Array.from({ length: 5 }, async () => {
      const lock = await store.lock(keyOf('a'), () => waits++)
      inside += 1
      assert.equal(inside, 1)
      await turn()
      inside -= 1
      lock.release()
      lock.release()
    }),
  )
  assert.ok(waits > 0)
  assert.deepEqual(readdirSync(join(store.folder, 'locks')), [], 'lock files do not pile up')
})

test('locks of different keys do not wait for each other', async (t) => {
  const { store } = await openStore(t)
  const locks = [await store.lock(keyOf('a'), noWait), await store.lock(keyOf('b'), noWait)]
  for (const lock of locks) lock.release()
})

test('two stores of one folder in one process exclude each other', async (t) => {
  const { store } = await openStore(t)
  const { store: other } = await openStore(t, store.folder)
  const first = await store.lock(keyOf('a'), noWait, undefined, 'save')
  const holders: string[] = []
  const second = other.lock(keyOf('a'), (holder) => {
    holders.push(holder)
    first.release()
  })
  ;(await second).release()
  assert.equal(holders.length, 1)
  assert.match(holders[0]!, new RegExp(`^process ${process.pid} builds save since \\d+ s$`))
})

test('waiting ends when it is aborted', async (t) => {
  const { store } = await openStore(t)
  const lock = await store.lock(keyOf('a'), noWait)
  const control = new AbortController()
  const waiting = store.lock(keyOf('a'), () => control.abort(), control.signal)
  await assert.rejects(waiting, { code: 'E_INTERRUPTED' })
  lock.release()
  await assert.rejects(store.lock(keyOf('a'), noWait, control.signal), { code: 'E_INTERRUPTED' })
})

test('another process waits, and is told for whom', async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  const { store } = await openStore(t, folder)
  const lock = await store.lock(keyOf('a'), noWait, undefined, 'customize')
  const other = startStoreProcess([folder, 'lock', 'a'])
  assert.match((await other.line()) ?? '', new RegExp(`^waiting for process ${process.pid} builds customize`))
  lock.release()
  assert.equal(await other.line(), 'locked')
  assert.equal((await other.end()).code, 0)
})

test('processes that fight for one lock never hold it together', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'count'), '0')
  const fighters = [1, 2, 3].map(() => startStoreProcess([join(folder, 'store'), 'count', 'a', '25']))
  for (const fighter of fighters) {
    const { code, stderr } = await fighter.end()
    assert.equal(code, 0, stderr)
  }
  assert.equal(readFileSync(join(folder, 'count'), 'utf8'), '75')
})

test('a lock on a file that was removed meanwhile does not count', (t) => {
  const layout = new Layout(temporaryFolder(t))
  layout.prepare(false)
  const file = join(layout.locks, 'x.db')
  const sqlite = loadSqlite()
  const first = tryFileLock(sqlite, layout, file)
  let third: FileLock | undefined
  // Between opening the file and locking it, its holder lets go and another one comes.
  class Slow extends sqlite {
    override exec(sql: string): this {
      first?.release()
      third ??= tryFileLock(sqlite, layout, file)
      return super.exec(sql)
    }
  }
  assert.equal(tryFileLock(Slow as unknown as Sqlite, layout, file), undefined)
  assert.ok(third)
  third.release()
})

test('kill -9 of the holder lets the next one in', async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  const { store } = await openStore(t, folder)
  const holder = startStoreProcess([folder, 'lock', 'a'])
  assert.equal(await holder.line(), 'locked')
  const lock = await store.lock(keyOf('a'), (who) => {
    assert.match(who, new RegExp(`^process ${holder.child.pid} builds overlay`))
    holder.child.kill('SIGKILL')
  })
  await holder.end()
  lock.release()
})

test('locks that the dead left are swept at open; those of the living are not', async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  const { store } = await openStore(t, folder)
  const dead = startStoreProcess([folder, 'lock', 'a'])
  const living = startStoreProcess([folder, 'lock', 'b'])
  assert.equal(await dead.line(), 'locked')
  assert.equal(await living.line(), 'locked')
  const own = await store.lock(keyOf('c'), noWait)
  dead.child.kill('SIGKILL')
  await dead.end()
  const { store: next } = await openStore(t, folder)
  assert.deepEqual(readdirSync(join(folder, 'locks')).sort(), [`${keyOf('b')}.db`, `${keyOf('c')}.db`].sort())
  for (const label of ['b', 'c']) {
    const control = new AbortController()
    const wait = next.lock(keyOf(label), () => control.abort(), control.signal)
    await assert.rejects(wait, { code: 'E_INTERRUPTED' }, `${label} is still held`)
  }
  own.release()
  assert.equal((await living.end()).code, 0)
})
