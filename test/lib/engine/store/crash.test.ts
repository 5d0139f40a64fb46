import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type TracePoint, tracePoints } from '../../../../lib/engine/trace.ts'
import { keyOf, openStore, publish, temporaryFolder } from '../../../helpers/store.ts'
import { startStoreProcess } from '../../../helpers/store-processes.ts'

interface Crash {
  point: TracePoint
  action: string[]
  /** A process that was killed before. */
  after?: { point: TracePoint; action: string[] }
}

const publishing = ['publish', 'new']
const carrying = ['carry', 'place']
const crashes: Crash[] = [
  { point: 'workspace.made', action: publishing },
  { point: 'publish.normalised', action: publishing },
  { point: 'publish.synced', action: publishing },
  { point: 'publish.began', action: publishing },
  { point: 'publish.renamed', action: publishing },
  { point: 'publish.registered', action: publishing },
  { point: 'publish.committed', action: publishing },
  { point: 'publish.logged', action: publishing },
  { point: 'carry.began', action: carrying },
  { point: 'carry.used', action: carrying },
  { point: 'carry.ended', action: carrying },
  { point: 'memo.written', action: ['memo', 'kept'] },
  { point: 'memo.kept', action: ['memo', 'kept'] },
  { point: 'gc.uncarried', action: ['open'], after: { point: 'carry.began', action: carrying } },
  { point: 'gc.began', action: ['gc'] },
  { point: 'gc.registered', action: ['gc'] },
  { point: 'gc.renamed', action: ['gc'] },
  { point: 'gc.committed', action: ['gc'] },
  { point: 'gc.deleted', action: ['gc'] },
  { point: 'sweep.dead', action: ['open'], after: { point: 'publish.synced', action: publishing } },
  { point: 'sweep.orphan', action: ['open'], after: { point: 'publish.renamed', action: publishing } },
]

test('every named point is tried', () => {
  assert.deepEqual(crashes.map(({ point }) => point).sort(), [...tracePoints].sort())
})

test('after kill -9 at', { concurrency: 2 }, async (t) => {
  const killed = async (folder: string, action: string[], point: TracePoint): Promise<void> => {
    const child = startStoreProcess([folder, ...action], { env: { FLEETSIE_TRACE_KILL: point } })
    const { signal, stderr } = await child.end()
    assert.equal(signal, 'SIGKILL', `it came to ${point}: ${stderr}`)
  }
  const tests = crashes.map(({ point, action, after }) =>
    t.test(`${point} the store is whole, and the same publish succeeds`, async (t) => {
      const folder = join(temporaryFolder(t), 'store')
      const { store: before } = await openStore(t, folder)
      await publish(before, 'old', { files: { old: 'old' } })
      await before.close()
      if (after) await killed(folder, after.action, after.point)
      await killed(folder, action, point)

      const { store, events } = await openStore(t, folder)
      assert.deepEqual((await store.verify()).problems, [])
      assert.deepEqual(readdirSync(join(folder, 'stage')), [], 'nothing is left in stage/')
      const alive = readdirSync(join(folder, 'leases')).filter((name) => !name.startsWith(`${process.pid}-`))
      assert.deepEqual(alive, [], 'nobody else is taken for alive')
      assert.deepEqual(events, [])
      const lines = await store.carry('place', { stage: 'save', onWait: () => {} }, async (folder) =>
        existsSync(join(folder, 'lines')) ? readFileSync(join(folder, 'lines'), 'utf8') : '',
      )
      assert.equal(lines, point === 'carry.ended' ? 'line\n' : '', 'only a whole folder is carried on')
      const kept = await (await store.memo()).get('kept')
      assert.equal(kept?.toString(), point === 'memo.kept' ? 'memo of kept' : undefined)
      const { digest } = await publish(store, 'new', { files: { 'deep/file': 'new', link: 'x' } })
      assert.equal(store.lookup(keyOf('new'))?.digest, digest)
      if (action[0] !== 'gc') assert.ok(store.lookup(keyOf('old')), 'what was there is still there')
      else
        assert.notEqual(
          !store.lookup(keyOf('old')),
          !store.tombstone(keyOf('old')),
          'gone with a tombstone, or here',
        )
      assert.deepEqual((await store.verify()).problems, [])
    }),
  )
  await Promise.all(tests)
})
