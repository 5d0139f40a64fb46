import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Store } from '../../../../lib/engine/store/store.ts'
import type { EvictionReason, GcOptions } from '../../../../lib/engine/store/types.ts'
import { onTracePoint } from '../../../../lib/engine/trace.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { atEnd, keyOf, openStore, publish, temporaryFolder } from '../../../helpers/store.ts'
import { startStoreProcess } from '../../../helpers/store-processes.ts'

const kib = (n: number): Buffer => Buffer.alloc(n * 1024, 'x')
const day = 24 * 60 * 60 * 1000

/** Four objects of 64 KiB, used 4, 3, 2 and 1 days ago, in a store that nobody uses. */
async function fourDays(t: TestContext): Promise<{ store: Store; folder: string }> {
  const folder = join(temporaryFolder(t), 'store')
  const now = Date.now()
  const clock = t.mock.timers
  clock.enable({ apis: ['Date'], now })
  for (const age of [4, 3, 2, 1]) {
    clock.setTime(now - age * day)
    const { store } = await openStore(t, folder)
    await publish(store, `day ${age}`, { files: { big: kib(64), age: `${age}` } })
    store.recordRun('sample', age > 2 ? 'save' : 'overlay', keyOf(`day ${age}`), {})
    await store.close()
  }
  clock.setTime(now)
  return { store: (await openStore(t, folder)).store, folder }
}

// Each object takes 68 KiB: 64 and a page for the small file.
const limits: { title: string; options: GcOptions; gone: number[]; reason?: EvictionReason }[] = [
  { title: 'without a limit all goes', options: {}, gone: [4, 3, 2, 1], reason: 'unrooted' },
  { title: 'an age', options: { maxAge: 2.5 * day }, gone: [4, 3], reason: 'max-age' },
  { title: 'a size', options: { maxSize: 150 * 1024 }, gone: [4, 3], reason: 'max-size' },
  { title: 'a size that holds already', options: { maxSize: 1024 ** 3 }, gone: [] },
  { title: 'the last of each stage', options: { keepLast: 1 }, gone: [4, 2], reason: 'keep-last' },
  {
    title: 'what one of two limits keeps',
    options: { keepLast: 1, maxAge: 2.5 * day },
    gone: [4],
    reason: 'max-age',
  },
  {
    title: 'size last of all',
    options: { keepLast: 9, maxSize: 70 * 1024 },
    gone: [4, 3, 2],
    reason: 'max-size',
  },
]

for (const { title, options, gone, reason } of limits) {
  test(`gc keeps: ${title}`, async (t) => {
    const { store, folder } = await fourDays(t)
    const would = await store.gc({ ...options, dryRun: true })
    assert.equal((await store.verify()).objects, 4, 'a dry run takes nothing')
    const report = await store.gc(options)
    assert.deepEqual(report, would, 'and says what the real one does')
    assert.equal(report.evicted.length, gone.length)
    assert.equal(report.kept.objects, 4 - gone.length)
    for (const age of [4, 3, 2, 1]) {
      const tombstone = store.tombstone(keyOf(`day ${age}`))
      assert.equal(tombstone?.reason, gone.includes(age) ? reason : undefined)
      assert.equal(store.lookup(keyOf(`day ${age}`)) === undefined, gone.includes(age))
    }
    assert.deepEqual(readdirSync(join(folder, 'stage')), [])
    assert.deepEqual((await store.verify()).problems, [])
  })
}

test('what a build only looked up the key of was used', async (t) => {
  const { store } = await fourDays(t)
  store.recordRun('sample', 'save', keyOf('day 4'), {})
  const { evicted } = await store.gc({ maxAge: 2.5 * day })
  assert.equal(evicted.length, 1)
  assert.ok(store.lookup(keyOf('day 4')))
  assert.equal(store.lookup(keyOf('day 3')), undefined)
})

test('roots keep their objects while the folder of the pipeline is there', async (t) => {
  const { store, folder } = await fourDays(t)
  const home = join(folder, '..', 'home')
  mkdirSync(home)
  const { digest } = store.lookup(keyOf('day 4'))!
  store.releaseLeases()
  store.setRoot('sample', [digest], home)
  assert.deepEqual((await store.gc()).kept, { objects: 1, bytes: 68 * 1024, rooted: 1, inUse: 0 })
  rmdirSync(home)
  assert.equal((await store.gc()).evicted.length, 1)
  assert.deepEqual(store.roots(), [])
})

test('what this process looked up stays until it lets go', async (t) => {
  const { store } = await fourDays(t)
  store.lookup(keyOf('day 4'))
  assert.equal((await store.gc()).evicted.length, 3)
  store.releaseLeases()
  assert.equal((await store.gc()).evicted.length, 1)
})

test('what another process looked up stays while it lives, even if it ends by kill -9', async (t) => {
  const { store, folder } = await fourDays(t)
  const other = startStoreProcess([folder, 'lease', 'day 4'])
  assert.equal(await other.line(), 'leased')
  assert.equal((await store.gc()).kept.inUse, 1)
  assert.equal(store.tombstone(keyOf('day 4')), undefined)
  other.child.kill('SIGKILL')
  await other.end()
  assert.equal((await store.gc()).evicted.length, 1)
})

test('a lookup between the choice and the deletion saves the object', async (t) => {
  const { store, folder } = await fourDays(t)
  const { store: other } = await openStore(t, folder)
  t.after(() => onTracePoint(undefined))
  onTracePoint((name) => {
    if (name === 'gc.deleted') assert.ok(other.lookup(keyOf('day 1')))
  })
  const { evicted } = await store.gc()
  assert.equal(evicted.length, 3)
  assert.ok(store.lookup(keyOf('day 1')))
})

test('gc against lookups of another process: a hit is never taken away', async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  const { store } = await openStore(t, folder)
  const labels = Array.from({ length: 60 }, (_, i) => `object ${i}`)
  for (const label of labels) await publish(store, label, { files: { file: label } })
  store.releaseLeases()
  // From the far end, so that the two meet.
  const other = startStoreProcess([folder, 'look-up-all', ...[...labels].reverse()])
  assert.equal(await other.line(), 'ready')
  const { evicted } = await store.gc()
  other.child.stdin.end()
  const [, hits, lost] = /^hits (\d+) lost (\d+)$/.exec((await other.line()) ?? '') ?? []
  assert.equal(lost, '0')
  assert.equal(Number(hits) + evicted.length, labels.length, 'each is either used or evicted')
  assert.equal((await other.end()).code, 0)
  assert.deepEqual((await store.verify()).problems, [])
})

test('when it is aborted it stops before the next object', async (t) => {
  const { store } = await fourDays(t)
  const controller = new AbortController()
  t.after(() => onTracePoint(undefined))
  onTracePoint((name) => {
    if (name === 'gc.deleted') controller.abort()
  })
  const { evicted, kept } = await store.gc({}, controller.signal)
  assert.deepEqual([evicted.length, kept.objects], [1, 3])
  assert.deepEqual((await store.verify()).problems, [])
})

test('evictions are events', async (t) => {
  const { store, events } = await openStore(t)
  const { digest, bytes } = await publish(store, 'a', { files: { x: kib(8) } })
  store.releaseLeases()
  await store.gc()
  assert.deepEqual(events, [{ type: 'evicted', object: digest, bytes, reason: 'unrooted' }])
})

test('the reserve is back after gc', async (t) => {
  const { store } = await openStore(t)
  await store.gc()
  assert.ok(existsSync(join(store.folder, 'reserved')))
})

/** Two memo entries and a carried folder, each of 64 KiB and a bit, unused for 9, 5 and 1 days. */
async function withCaches(t: TestContext) {
  const { store, events } = await openStore(t)
  const memo = await store.memo()
  await memo.put('old', kib(64))
  const [old] = filesIn(join(store.folder, 'memo'))
  await memo.put('young', kib(64))
  const young = filesIn(join(store.folder, 'memo')).find((file) => file !== old)
  const carrier = { stage: 'save', onWait: () => {} }
  await store.carry('place', carrier, async (folder) => writeFileSync(join(folder, 'file'), kib(64)))
  const now = Date.now() / 1000
  utimesSync(old!, now - 9 * 86400, now - 9 * 86400)
  utimesSync(join(store.folder, 'carried/place'), now - 5 * 86400, now - 5 * 86400)
  utimesSync(young!, now - 86400, now - 86400)
  await publish(store, 'object', { files: { x: kib(64) } })
  store.releaseLeases()
  const left = (): string[] => [
    ...filesIn(join(store.folder, 'memo')).map((file) => (file === old ? 'old' : 'young')),
    ...readdirSync(join(store.folder, 'carried')),
    ...(store.lookup(keyOf('object')) ? ['object'] : []),
  ]
  return { store, events, carrier, left: () => left().sort() }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) =>
    readdirSync(join(folder, name)).map((id) => join(folder, name, id)),
  )
}

const cacheLimits: { title: string; options: GcOptions; left: string[] }[] = [
  { title: 'without a limit, what was used in a week', options: {}, left: ['place', 'young'] },
  { title: 'by another age', options: { maxAge: 3 * day }, left: ['object', 'young'] },
  { title: 'under a size, the latest used', options: { maxSize: 150 * 1024 }, left: ['object', 'young'] },
  { title: 'no object less, as long as caches make room', options: { maxSize: 70 * 1024 }, left: ['object'] },
  { title: 'nothing at no size', options: { maxSize: 0 }, left: [] },
  {
    title: 'all within a size that holds',
    options: { maxSize: 2 ** 30 },
    left: ['object', 'old', 'place', 'young'],
  },
]

for (const { title, options, left } of cacheLimits) {
  test(`gc keeps of carried folders and memo: ${title}`, async (t) => {
    const caches = await withCaches(t)
    const would = await caches.store.gc({ ...options, dryRun: true })
    const report = await caches.store.gc(options)
    assert.deepEqual(report, would)
    assert.deepEqual(caches.left(), left)
    const kept = left.filter((name) => name !== 'object').length
    assert.deepEqual([report.caches.kept, report.caches.dropped], [kept, 3 - kept])
    assert.ok(
      report.bytes >= (4 - left.length) * 64 * 1024 && report.bytes < (4 - left.length + 1) * 64 * 1024,
    )
    assert.ok(report.caches.keptBytes >= kept * 64 * 1024)
  })
}

test('a carried folder that is held stays, here and to other processes', async (t) => {
  const { store, carrier, left } = await withCaches(t)
  await store.carry('place', carrier, async () => {
    assert.equal((await store.gc({ maxSize: 0 })).caches.dropped, 2)
    assert.equal((await startStoreProcess([store.folder, 'gc']).end()).code, 0)
    assert.deepEqual(left(), ['place'])
  })
  assert.equal((await store.gc({ maxSize: 0 })).caches.dropped, 1)
})

test('a full disk takes carried folders and memo before objects, least recently used first', {
  skip: needsRoot,
}, async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  mkdirSync(folder)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'fleetsie-test', folder])
  atEnd(t, async () => void execFileSync('umount', [folder]))
  const { store, events } = await openStore(t, folder, { minFree: 2 * 1024 * 1024 })
  await publish(store, 'object', { files: { x: kib(512) } })
  store.releaseLeases()
  const memo = await store.memo()
  for (let i = 0; i < 80; i++) await memo.put(`${i}`, kib(100))
  await publish(store, 'next', { files: { x: kib(1024) } })
  assert.ok(store.lookup(keyOf('object')) && store.lookup(keyOf('next')))
  assert.equal(await memo.get('0'), undefined)
  assert.ok(await memo.get('60'))
  assert.match(JSON.stringify(events), /"\d+ cache entries".*"disk-full"/)
})
