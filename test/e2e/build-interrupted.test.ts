/** Builds that are interrupted: exit code 130, nothing runs on, and nothing half-written is left. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { assertWhole, begins, processesIn, project, start } from '../helpers/background-builds.ts'
import { dead, isAlive } from '../helpers/processes.ts'

describe('interrupted', () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    test(`by ${signal}: exit code 130, no child, no grandchild, no mount, no work folder`, {
      timeout: 60_000,
    }, async (t) => {
      const scratch = await project(t)
      const mounts = readFileSync('/proc/self/mounts', 'utf8')
      const build = start(scratch, ['build', 'family'])
      // The stage's processes tell their numbers through the pipe.
      const pids = (await readFile(join(scratch.project, 'pids'), 'utf8')).trim().split('\n').map(Number)
      assert.equal(pids.length, 3)
      assert.deepEqual(pids.map(isAlive), [true, true, true])
      build.child.kill(signal)
      const { code, told } = await build.end()
      assert.equal(code, 130)
      const last = told.at(-1)
      assert.deepEqual(last, { type: 'error', code: 'E_INTERRUPTED', message: `interrupted by ${signal}` })
      assert.deepEqual(pids.filter(isAlive), [])
      assert.equal(readFileSync('/proc/self/mounts', 'utf8'), mounts)
      await assertWhole(scratch)
    })
  }

  test('while it saves: out/ stays empty, nothing runs on, and the next build goes on', {
    timeout: 240_000,
  }, async (t) => {
    const scratch = await project(t)
    const build = start(scratch, ['build'])
    await build.event(begins('save'))
    build.child.kill('SIGINT')
    assert.equal((await build.end()).code, 130)
    assert.deepEqual(processesIn(scratch.folder), [])
    assert.ok(!existsSync(join(scratch.project, 'out')))
    await assertWhole(scratch)
    const { code, stages } = await scratch.run(['build', '--json'])
    assert.equal(code, 0)
    assert.equal(stages.get('decompress cached'), 'nothing changed')
  })

  test('twice: it ends at once', { timeout: 60_000 }, async (t) => {
    const scratch = await project(t)
    const build = start(scratch, ['build', 'deaf'])
    const [pid] = (await readFile(join(scratch.project, 'pids'), 'utf8')).trim().split('\n').map(Number)
    const began = performance.now()
    build.child.kill('SIGINT')
    await build.event((event) => event.type === 'note' && event.message === 'interrupted')
    build.child.kill('SIGINT')
    assert.equal((await build.end()).code, 130)
    assert.ok(performance.now() - began < 4500, 'it did not wait for who ignores SIGTERM')
    await dead(pid!)
    await assertWhole(scratch)
  })
})
