/** Two builds of one project at once: each stage runs once, and whoever waits takes over what is finished. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { assertWhole, begins, processesIn, project, start } from '../helpers/background-builds.ts'
import { dead } from '../helpers/processes.ts'

const built = (told: readonly BuildEvent[]): string[] =>
  told.flatMap((event) => (event.type === 'stage' && event.action === 'built' ? [event.stage] : []))

describe('two builds at once', () => {
  test('of the same: each stage runs once, and both succeed', { timeout: 240_000 }, async (t) => {
    const scratch = await project(t)
    const ends = await Promise.all([start(scratch, ['build']).end(), start(scratch, ['build']).end()])
    assert.deepEqual(
      ends.map(({ code }) => code),
      [0, 0],
      ends.map(({ stderr, told }) => stderr + JSON.stringify(told.at(-1))).join('\n'),
    )
    const all = ends.flatMap(({ told }) => built(told)).sort()
    assert.deepEqual(all, ['decompress', 'fetch', 'install', 'mount', 'overlay', 'save'])
    const [one, two] = ends.map(({ told }) => told.at(-1))
    assert.deepEqual(one, two, 'and both tell the same artifacts')
    assert.equal((await scratch.run(['verify', 'out/sample_fleetsie.img.xz'])).code, 0)
    await assertWhole(scratch)
  })

  test('the second says whom it waits for, and takes over the result', { timeout: 60_000 }, async (t) => {
    const scratch = await project(t)
    const first = start(scratch, ['build', 'gated'])
    await first.event(begins('gated'))
    const second = start(scratch, ['build', 'gated'])
    await second.event((event) => event.type === 'waiting')
    writeFileSync(join(scratch.project, 'gate'), 'open')
    const [one, two] = [await first.end(), await second.end()]
    assert.deepEqual([one.code, two.code], [0, 0])
    const waiting = two.told.find((event) => event.type === 'waiting')
    assert.match(
      waiting?.message ?? '',
      new RegExp(`^waiting for process ${first.child.pid} builds gated since \\d+ s$`),
    )
    const stage = two.told.find((event) => event.type === 'stage')
    assert.deepEqual([stage?.action, stage?.because], ['cached', 'another process has just built it'])
    await assertWhole(scratch)
  })

  test('when the first is killed, the second builds', { timeout: 60_000 }, async (t) => {
    const scratch = await project(t)
    const first = start(scratch, ['build', 'gated'])
    await first.event(begins('gated'))
    const second = start(scratch, ['build', 'gated'])
    await second.event((event) => event.type === 'waiting')
    const orphans = processesIn(join(scratch.project, 'gate'))
    first.child.kill('SIGKILL')
    await first.end()
    // Nobody ends the children of who was killed; this one would take what is meant for the second build.
    for (const pid of orphans.map((line) => Number.parseInt(line, 10))) {
      process.kill(pid, 'SIGKILL')
      await dead(pid)
    }
    await second.event(begins('gated'))
    writeFileSync(join(scratch.project, 'gate'), 'open')
    assert.equal((await second.end()).code, 0)
    await assertWhole(scratch)
  })
})
