import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Store } from '../../../../lib/engine/store/store.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { openStore, temporaryFolder } from '../../../helpers/store.ts'
import { startStoreProcess } from '../../../helpers/store-processes.ts'

const carrier = { stage: 'save', onWait: (holder: string): void => assert.fail(`waits for ${holder}`) }

/** What is in the folder carried under `id`. */
const look = (store: Store, id = 'a'): Promise<string[]> =>
  store.carry(id, carrier, async (folder) => readdirSync(folder))

/** Leaves a file there. */
const leave = (store: Store, name: string, id = 'a'): Promise<void> =>
  store.carry(id, carrier, async (folder) => writeFileSync(join(folder, name), name))

test('a carried folder is empty at first, and keeps what is left in it, per name and over processes', async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  const { store } = await openStore(t, folder)
  assert.deepEqual(await look(store), [])
  await leave(store, 'file')
  assert.deepEqual(await look(store, 'b'), [])
  await store.close()
  assert.equal((await startStoreProcess([folder, 'carry', 'a']).end()).code, 0)
  const { store: later } = await openStore(t, folder)
  assert.deepEqual(await look(later), ['file', 'lines'])
})

test('who fails in it leaves it empty, and the error is its own', async (t) => {
  const { store } = await openStore(t)
  await leave(store, 'file')
  const failing = store.carry('a', carrier, async (folder) => {
    mkdirSync(join(folder, 'locked'))
    writeFileSync(join(folder, 'locked/file'), '')
    chmodSync(join(folder, 'locked'), 0o555)
    throw new Error('no good')
  })
  await assert.rejects(failing, /no good/)
  assert.deepEqual(await look(store), [])
})

test('a folder of another boot is thrown away: nothing in it was synced', async (t) => {
  const { store } = await openStore(t)
  await leave(store, 'file')
  writeFileSync(join(store.folder, 'carried/a/whole'), 'another boot')
  assert.deepEqual(await look(store), [])
})

test('two uses follow each other, in one process and over stores', async (t) => {
  const { store } = await openStore(t)
  const { store: other } = await openStore(t, store.folder)
  let inside = 0
  const waits: string[] = []
  const use = (one: Store) =>
    one.carry('a', { stage: 'save', onWait: (holder) => waits.push(holder) }, async (folder) => {
      inside += 1
      assert.equal(inside, 1)
      await new Promise((resolve) => setImmediate(resolve))
      writeFileSync(join(folder, `${readdirSync(folder).length}`), '')
      inside -= 1
    })
  await Promise.all([use(store), use(other), use(store), use(other)])
  assert.deepEqual(await look(store), ['0', '1', '2', '3'])
  assert.match(waits[0] ?? '', new RegExp(`^process ${process.pid} builds save since \\d+ s$`))
})

test('whoever waits for another process says so, and stops waiting when it is aborted', async (t) => {
  const { store } = await openStore(t)
  const other = startStoreProcess([store.folder, 'carry', 'a', 'hold'])
  assert.equal(await other.line(), 'carrying')
  const controller = new AbortController()
  const holders: string[] = []
  const onWait = (holder: string): void => {
    holders.push(holder)
    controller.abort()
  }
  const waiting = store.carry('a', { stage: 'save', onWait, signal: controller.signal }, async () => {})
  await assert.rejects(waiting, { code: 'E_INTERRUPTED' })
  assert.match(holders[0]!, new RegExp(`^process ${other.child.pid} builds save`))
  assert.equal((await other.end()).code, 0)
  assert.deepEqual(await look(store), ['lines'])
})

test('at most 16 are kept: the longest unused goes, never one that is held', async (t) => {
  const { store } = await openStore(t)
  const carried = join(store.folder, 'carried')
  for (let i = 0; i < 16; i++) {
    await leave(store, 'file', `n${i}`)
    utimesSync(join(carried, `n${i}`), 1000 + i, 1000 + i)
  }
  await store.carry('n0', carrier, async () => {
    utimesSync(join(carried, 'n0'), 1000, 1000)
    await leave(store, 'file', 'more')
    await leave(store, 'file', 'most')
  })
  const left = readdirSync(carried)
  assert.ok(left.includes('n0') && left.includes('more') && left.includes('most'))
  assert.ok(!left.includes('n1') && !left.includes('n2'), left.join(' '))
})

test('what root left in the store of another is the other’s', { skip: needsRoot }, async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  chmodSync(join(folder, '..'), 0o777)
  const user = { uid: 65534, gid: 65534 }
  assert.equal((await startStoreProcess([folder, 'open'], user).end()).code, 0)
  assert.equal((await startStoreProcess([folder, 'carry', 'a']).end()).code, 0)
  assert.equal((await startStoreProcess([folder, 'memo', 'a']).end()).code, 0)
  assert.equal(statSync(join(folder, 'carried/a/files/lines')).uid, 65534)
  const ended = await startStoreProcess([folder, 'carry', 'a'], user).end()
  assert.equal(ended.code, 0, ended.stderr)
  assert.equal(readFileSync(join(folder, 'carried/a/files/lines'), 'utf8'), 'line\nline\n')
  const memo = await startStoreProcess([folder, 'memo', 'a'], user).end()
  assert.equal(memo.code, 0, memo.stderr)
  assert.ok(!existsSync(join(folder, 'carried/a/files/none')))
})

test('what root has given to the other itself is not touched again', { skip: needsRoot }, async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  mkdirSync(folder)
  chownSync(folder, 65534, 65534)
  const { store } = await openStore(t, folder)
  const file = join(folder, 'carried/a/files/file')
  let then = 0n
  await store.carry('a', carrier, async () => {
    writeFileSync(file, '')
    chownSync(file, 65534, 65534)
    then = statSync(file, { bigint: true }).ctimeNs
    // A clock that ticks in between shows what else changes the file.
    const other = join(folder, 'carried/a/files/other')
    do writeFileSync(other, '')
    while (statSync(other, { bigint: true }).ctimeNs === then)
  })
  assert.equal(statSync(file, { bigint: true }).ctimeNs, then)
  assert.equal(statSync(join(folder, 'carried/a/files/other')).uid, 65534)
})
