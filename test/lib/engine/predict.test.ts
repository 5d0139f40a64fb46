import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BuildOptions } from '../../../lib/engine/build-options.ts'
import { sha256Hex } from '../../../lib/engine/canonical.ts'
import type { BuildEvent } from '../../../lib/engine/events.ts'
import { predict } from '../../../lib/engine/predict.ts'
import type { Derivation } from '../../../lib/engine/stage.ts'
import { type Rig, rig, type TestStage } from '../../helpers/engine.ts'

interface Scene {
  r: Rig
  stages: Record<'a' | 'b' | 'same' | 'put', TestStage>
  /** `b` and `same` stand on `a`, `put` on both. `same` makes the same bytes of whatever it is given. */
  root: (text?: string) => Derivation
}

const changes: [title: string, change: (scene: Scene) => unknown, options?: Partial<BuildOptions>][] = [
  ['nothing was ever built', async () => {}],
  ['nothing changed', ({ r, root }) => r.build(root())],
  [
    'a file changed',
    async ({ r, root }) => {
      await r.build(root())
      r.write('file', 'another')
    },
  ],
  ['an option of the last build stage changed', ({ r, root }) => r.build(root('old'))],
  [
    'a deployed file is gone',
    async ({ r, root }) => {
      await r.build(root())
      rmSync(join(r.cwd, 'out'))
    },
  ],
  [
    'results were evicted that nobody needs',
    async ({ r, root }) => {
      await r.build(root())
      await r.evict()
    },
  ],
  [
    'results were evicted that a changed stage needs',
    async ({ r, root }) => {
      await r.build(root('old'))
      await r.evict()
    },
  ],
  [
    'all results were evicted and a deployed file is gone',
    async ({ r, root }) => {
      await r.build(root())
      for (const { name } of r.store.roots()) r.store.removeRoot(name)
      await r.evict()
      rmSync(join(r.cwd, 'out'))
    },
  ],
  ['nothing is looked up', ({ r, root }) => r.build(root()), { noCache: true }],
  ['one stage is not looked up', ({ r, root }) => r.build(root()), { noCache: new Set(['same']) }],
]

for (const [title, change, options] of changes) {
  test(`a dry run says what a build then does when ${title}`, async (t) => {
    const r = await rig(t)
    r.write('file', 'content')
    const a = r.stage('a')
    const b = r.stage('b')
    const same = r.stage('same', { run: ({ out }) => writeFile(join(out, 'text'), 'same') })
    const put = r.stage('put', {
      apply: async ({ cwd }) => {
        mkdirSync(cwd, { recursive: true })
        writeFileSync(join(cwd, 'out'), 'put')
        return [{ path: 'out', sha256: sha256Hex('put'), kind: 'file' }]
      },
    })
    const root = (text = 'new'): Derivation => {
      const base = a({ file: 'file' })
      return put({ from: [b({ text, from: [base] }), same({ from: [base] })] })
    }
    await change({ r, stages: { a, b, same, put }, root })
    const runs = [a.runs, b.runs, same.runs, put.runs]
    const before = r.store.roots()

    const said: BuildEvent[] = []
    await predict(r.newBuild(said, options), 't', root())
    assert.deepEqual([a.runs, b.runs, same.runs, put.runs], runs, 'a dry run runs nothing')
    assert.deepEqual(r.store.roots(), before)
    const predicted = new Map(
      said.flatMap((event) => {
        if (event.type !== 'answer') return []
        const data = event.data as { stage: string; runs: boolean; because: string; key?: string }
        return [[data.stage, data] as const]
      }),
    )
    const { events } = await r.build(root(), options)
    const done = events.filter((event) => event.type === 'stage')
    assert.equal(done.length, predicted.size)
    for (const { stage, action, because } of done) {
      const forecast = predicted.get(stage)!
      const ran = action === 'built' || action === 'applied'
      if (forecast.key === undefined) {
        // It depends on bytes that are not there yet; the dry run says so.
        assert.ok(forecast.runs)
        assert.match(forecast.because, /^its input \S+ \(\w+\) runs, and may come out different$/)
      } else {
        assert.deepEqual([stage, forecast.runs, forecast.because], [stage, ran, because])
      }
    }
  })
}
