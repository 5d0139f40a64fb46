/** Builds that are killed at any moment: the next one succeeds, and the store is whole. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { tracePoints } from '../../lib/engine/trace.ts'
import { artifacts, assertWhole, begins, project, start } from '../helpers/background-builds.ts'

describe('kill -9 at', () => {
  const points = tracePoints.filter((point) => point === 'workspace.made' || point.startsWith('publish.'))
  test('least the eight points of publishing are tried', () => assert.ok(points.length >= 8))
  for (const point of points) {
    test(`${point}: the next build succeeds, and the store is whole`, async (t) => {
      const scratch = await project(t)
      const killed = await scratch.run(['build', 'layer', '--json'], { env: { FLEETSIE_TRACE_KILL: point } })
      assert.equal(killed.code, null, `it did not come to ${point}`)
      const { code, stages, stderr } = await scratch.run(['build', 'layer', '--json'])
      assert.equal(code, 0, stderr)
      const published = point === 'publish.committed' || point === 'publish.logged'
      assert.deepEqual([...stages.keys()], [published ? 'overlay cached' : 'overlay built'])
      await assertWhole(scratch)
    })
  }

  test('any moment of a whole build, over and over: it goes on from what is finished', {
    timeout: 240_000,
  }, async (t) => {
    const scratch = await project(t)
    for (const stage of ['decompress', 'install', 'save', 'sign']) {
      const build = start(scratch, ['build'])
      await build.event(begins(stage))
      build.child.kill('SIGKILL')
      assert.equal((await build.end()).signal, 'SIGKILL')
    }
    const { code, stages, stderr } = await scratch.run(['build', '--json'])
    assert.equal(code, 0, stderr)
    assert.equal(stages.get('fetch cached'), 'nothing changed')
    assert.equal(
      (await readdir(join(scratch.project, 'out'))).length,
      artifacts,
      'no half-written file is left in out/',
    )
    assert.equal((await scratch.run(['verify', 'out/sample_fleetsie.img.xz'])).code, 0)
    await assertWhole(scratch)
  })
})
