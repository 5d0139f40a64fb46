import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Sample, Subject } from '../../bench/measure.ts'
import { table } from '../../bench/report.ts'
import { compared, figures, type Goal, type Measured, reached } from '../../bench/row.ts'

const subject = (command: string): Subject => ({ command, args: ["it's", 'plain'], cwd: '/', env: {} })
const sample = (wall: number): Sample => ({ wall, cpu: wall, peak: 100e6, stdout: '' })

function row(ours: number[], peer: number[], goal?: Goal): Measured {
  return compared({
    name: 'one',
    ours: subject('ours'),
    peer: subject('peer'),
    samples: { ours: ours.map(sample), peer: peer.map(sample) },
    ...(goal ? { goal } : {}),
  })
}

describe('a row', () => {
  it('holds the ratio of each pair and the commands as a shell takes them', () => {
    const { ratio, ours, runs } = row([100, 200, 300], [100, 100, 100])
    assert.deepEqual(ratio, { median: 2, min: 1, max: 3 })
    assert.equal(ours.command, "ours 'it'\\''s' plain")
    assert.equal(runs, 3)
  })

  const goals: [string, Goal, boolean][] = [
    ['a ratio within its goal is reached', { of: 'ratio', atMost: 2 }, true],
    ['a ratio above its goal is not', { of: 'ratio', atMost: 1.99 }, false],
    ['milliseconds are our own', { of: 'wall', atMost: 200 }, true],
    ['memory is counted in bytes', { of: 'peak', atMost: 99e6 }, false],
  ]
  for (const [title, goal, expected] of goals) {
    it(title, () => assert.equal(reached(row([200], [100], goal)), expected))
  }

  it('without a goal reaches none', () => assert.equal(reached(row([1], [1])), undefined))

  it('has no CPU and no memory where the machine cannot tell them', () => {
    const bare = figures(subject('ours'), [{ wall: 1, stdout: '' }])
    assert.deepEqual(Object.keys(bare), ['wall', 'command'])
  })
})

describe('the table', () => {
  const text = table([
    row([100, 300, 200], [100, 100, 100], { of: 'ratio', atMost: 1.5 }),
    { name: 'two', notRun: 'no kernel | no loop' },
  ])
  const lines = text.trimEnd().split('\n')

  it('has the same width in each line', () =>
    assert.equal(new Set(lines.map((line) => line.replaceAll('\\|', '||').length)).size, 1))

  it('shows median, least and most, the goal, and whether it was reached', () => {
    assert.match(
      lines[2]!,
      /200 ms \(100 ms to 300 ms\) .* 2\.00 × \(1\.00 × to 3\.00 ×\) .* ≤ 1\.50 × \| no/,
    )
    assert.match(lines[2]!, /\| 100 MB +\| 3 /)
  })

  it('says what could not run, and why, without breaking the line', () => {
    assert.match(lines[3]!, /^\| two +\| n\/a .*no kernel \\\| no loop/)
  })
})
