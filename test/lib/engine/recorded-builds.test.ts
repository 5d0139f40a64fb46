import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import Database from 'better-sqlite3'
import { Store } from '../../../lib/engine/store/store.ts'
import type { RecordedBuild } from '../../../lib/engine/store/types.ts'
import { rig } from '../../helpers/engine.ts'
import { openStore, temporaryFolder } from '../../helpers/store.ts'

const built = (at: number): RecordedBuild => ({
  at,
  ms: 5,
  stages: [{ stage: 'a', action: 'built', because: 'b', start: 0, ms: 5 }],
})
const idle = (at: number): RecordedBuild => ({
  at,
  ms: 1,
  stages: [{ stage: 'a', action: 'cached', because: 'nothing changed', start: 0, ms: 0 }],
})

describe('what is remembered of builds', () => {
  test('each stage with its action, its reason and when it ran', async (t) => {
    const r = await rig(t)
    const a = r.stage('a')
    const b = r.stage('b')
    await r.build({ t: b({ from: [a({ text: 'x' })] }) })
    await r.build({ t: b({ from: [a({ text: 'x' })], text: 'y' }) })
    const [last, first, ...more] = r.store.builds(`${r.cwd} t`)
    assert.equal(more.length, 0)
    assert.deepEqual(
      first!.stages.map(({ stage, action, because }) => [stage, action, because]),
      [
        ['a', 'built', 'it was never built before'],
        ['b', 'built', 'it was never built before'],
      ],
    )
    assert.deepEqual(
      last!.stages.map(({ stage, action }) => `${stage} ${action}`),
      ['a cached', 'b built'],
    )
    for (const build of [first!, last!]) {
      assert.ok(Math.abs(Date.now() - build.at) < 60_000)
      for (const { start, ms } of build.stages) assert.ok(start >= 0 && start + ms <= build.ms + 1)
    }
    const [before, after] = first!.stages
    assert.ok(after!.start >= before!.start + before!.ms - 1, 'b waited for a')
  })

  test('a stage that failed, with the first line of its error', async (t) => {
    const r = await rig(t)
    const bad = r.stage('bad', {
      run: async () => {
        throw new Error('no luck\nand more')
      },
    })
    await r.build({ t: bad() })
    const [{ stages }] = r.store.builds(`${r.cwd} t`) as [RecordedBuild]
    assert.equal(stages.length, 1)
    assert.equal(stages[0]!.action, 'failed')
    assert.match(stages[0]!.because, /no luck/)
    assert.doesNotMatch(stages[0]!.because, /and more/)
  })

  test('builds with nothing to do are written once an hour', async (t) => {
    const { store } = await openStore(t)
    const start = 1_700_000_000_000
    for (const build of [
      built(start),
      idle(start + 1000),
      idle(start + 3_600_000),
      idle(start + 3_700_000),
    ]) {
      store.recordBuild('t', build)
    }
    assert.deepEqual(
      store.builds('t').map(({ at }) => at),
      [start + 3_600_000, start],
    )
  })

  test('fifty of each target, the latest first', async (t) => {
    const { store } = await openStore(t)
    for (let at = 1; at <= 60; at++) store.recordBuild('t', built(at))
    store.recordBuild('u', built(1))
    const kept = store.builds('t').map(({ at }) => at)
    assert.deepEqual([kept.length, kept[0], kept.at(-1)], [50, 60, 11])
    assert.equal(store.builds('u').length, 1)
  })

  test('a store of before is migrated, and can be read as it is', async (t) => {
    const folder = join(temporaryFolder(t), 'store')
    await (await Store.open(folder, { minFree: 0 })).close()
    const db = new Database(join(folder, 'db.sqlite'))
    db.exec('DROP TABLE builds')
    db.pragma('user_version = 1')
    db.close()
    const reader = await Store.open(folder, { readOnly: true })
    assert.deepEqual(reader.builds('t'), [])
    await reader.close()
    const { store } = await openStore(t, folder)
    store.recordBuild('t', built(1))
    assert.equal(store.builds('t').length, 1)
  })
})
