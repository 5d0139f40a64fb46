import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RunningStages } from '../../../../lib/cli/renderers/running.ts'
import { MiB } from '../../../helpers/disks.ts'

const at = { target: 't', stage: 'save' } as const

/** Stages whose clock the test sets. */
function stages(multi = false): { running: RunningStages; clock: { now: number } } {
  const clock = { now: 0 }
  return { running: new RunningStages(multi, () => clock.now), clock }
}

describe('the row of a stage that runs', () => {
  test('says why and how long while nothing else is known', () => {
    const { running, clock } = stages()
    running.hear({ type: 'start', ...at, because: 'a changed' })
    clock.now = 1500
    assert.deepEqual(running.rows(80, undefined), ['⠋ save            1.5 s  because a changed'])
    assert.match(running.rows(80, undefined)[0]!, /^⠙/, 'it turns')
  })

  test('has a bar, the rate of late and the time left', () => {
    const { running, clock } = stages()
    running.hear({ type: 'start', ...at, because: '' })
    const progress = (seconds: number, done: number): void => {
      clock.now = seconds * 1000
      running.hear({ type: 'progress', ...at, done: done * MiB, total: 1000 * MiB, unit: 'bytes' })
    }
    for (let second = 1; second <= 10; second++) progress(second, second * 50)
    assert.match(
      running.rows(99, undefined)[0]!,
      /█{10}░{10} {2}500 MiB of 1000 MiB {2}50.0 MiB\/s {2}10 s left$/,
    )
    for (let second = 11; second <= 20; second++) progress(second, 500 + (second - 10) * 5)
    assert.match(running.rows(99, undefined)[0]!, /550 MiB of 1000 MiB {2}5.0 MiB\/s {2}1 min 30 s left$/)
    progress(21, 1000)
    assert.match(running.rows(99, undefined)[0]!, /█{20} {2}1000 MiB {2}finishing, 21.0 s so far$/)
  })

  test('counts files where no total is known', () => {
    const { running, clock } = stages()
    running.hear({ type: 'start', ...at, because: '' })
    clock.now = 2000
    running.hear({ type: 'progress', ...at, done: 30, unit: 'files' })
    assert.match(running.rows(80, undefined)[0]!, /2\.0 s {2}30 files {2}15 files\/s$/)
  })

  test('is never wider than the terminal', () => {
    const { running } = stages(true)
    running.hear({ type: 'start', ...at, because: 'x'.repeat(500) })
    const [row] = running.rows(40, 7)
    assert.equal([...row!].length, 39)
    assert.match(row!, /t\/save.*…$/)
  })
})

test('the row of what is changed on a server goes when that is done', () => {
  const { running } = stages()
  const change = { server: 'root@one', resource: 'closure /opt/fleetsie/current', because: 'it is missing' }
  running.hear({ type: 'start', target: 'root@one', stage: 'closure', because: change.because })
  assert.match(running.rows(80, undefined).join(), /closure .* because it is missing$/)
  running.hear({ type: 'resource', action: 'changed', ms: 1, ...change })
  assert.deepEqual(running.rows(80, undefined), [])
})

test('the last row says how many stages have ended', () => {
  const { running } = stages()
  running.hear({ type: 'stage', target: 't', stage: 'a', action: 'cached', because: '', ms: 0 })
  running.hear({ type: 'start', ...at, because: '' })
  assert.equal(running.rows(80, 3).at(-1), '  1 of 3 stages done')
  running.hear({ type: 'failed', ...at, code: 'E_STAGE', message: 'm' })
  assert.deepEqual(running.rows(80, 3), [])
})
