import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Sample, Subject } from '../../bench/measure.ts'
import { table } from '../../bench/report.ts'
import { compared, figures, type Goal, type Measured, type Output, reached } from '../../bench/row.ts'

const subject = (command: string): Subject => ({ command, args: ["it's", 'plain'], cwd: '/', env: {} })
const sample = (wall: number): Sample => ({ wall, cpu: wall, peak: 100e6, written: 3e6, stdout: '' })

interface Given {
  goal?: Goal
  paired?: boolean
  outputs?: [Output, Output]
}

function row(ours: number[], peer: number[], { goal, paired = true, outputs }: Given = {}): Measured {
  return compared({
    name: 'one',
    beside: 'another',
    ours: { subject: subject('ours'), samples: ours.map(sample), ...(outputs ? { output: outputs[0] } : {}) },
    peer: { subject: subject('peer'), samples: peer.map(sample), ...(outputs ? { output: outputs[1] } : {}) },
    paired,
    about: 'what to know',
    spent: 'save 90, the rest 10 ms',
    ...(goal ? { goal } : {}),
  })
}

describe('a row', () => {
  it('holds the ratio of each pair and the commands as a shell takes them', () => {
    const { ratio, ours } = row([100, 200, 300], [100, 100, 100])
    assert.deepEqual(ratio, { median: 2, min: 1, max: 3 })
    assert.equal(ours.command, "ours 'it'\\''s' plain")
    assert.equal(ours.runs, 3)
  })

  it('holds the ratio of the medians where runs were no pairs', () => {
    assert.deepEqual(row([100, 200, 300], [400, 800], { paired: false }).ratio, {
      median: 1 / 3,
      min: 1 / 8,
      max: 3 / 4,
    })
  })

  const sizes: [Output, Output] = [{ size: 101 }, { size: 100 }]
  const goals: [string, Goal, boolean][] = [
    ['a ratio within its goal is reached', { of: 'ratio', atMost: 2 }, true],
    ['a ratio above its goal is not', { of: 'ratio', atMost: 1.99 }, false],
    ['milliseconds are our own', { of: 'wall', atMost: 200 }, true],
    ['memory is counted in bytes', { of: 'peak', atMost: 99e6 }, false],
    ['a size is ours over theirs', { of: 'size', atMost: 1.02 }, true],
    ['a size above its goal is not reached', { of: 'size', atMost: 1 }, false],
  ]
  for (const [title, goal, expected] of goals) {
    it(title, () => assert.equal(reached(row([200], [100], { goal, outputs: sizes })), expected))
  }

  it('without a goal reaches none', () => assert.equal(reached(row([1], [1])), undefined))

  it('has no CPU and no memory where the machine cannot tell them', () => {
    const bare = figures({ subject: subject('ours'), samples: [{ wall: 1, stdout: '' }] })
    assert.deepEqual(Object.keys(bare), ['runs', 'wall', 'command'])
  })

  it('has no CPU ratio beside a program that took none', () => {
    const none = { subject: subject('peer'), samples: [{ wall: 1, cpu: 0, stdout: '' }] }
    const ours = { subject: subject('ours'), samples: [sample(1)] }
    assert.equal(compared({ name: 'one', ours, peer: none, paired: true }).cpuRatio, undefined)
  })
})

describe('the table', () => {
  const text = table([
    row([100, 300, 200], [100, 100, 100], { goal: { of: 'ratio', atMost: 1.5 } }),
    { name: 'two', beside: 'peer', notRun: 'no kernel | no loop' },
    row([1], [250], { goal: { of: 'ratio', atMost: 1 / 150 } }),
    row([1], [1], {
      goal: { of: 'size', atMost: 1.02 },
      outputs: [{ size: 139e6, same: true }, { size: 100e6 }],
    }),
  ])
  const lines = text.trimEnd().split('\n')

  it('has as many cells in each line', () =>
    assert.equal(new Set(lines.map((line) => line.replaceAll('\\|', '').split('|').length)).size, 1))

  it('shows median, least and most, the goal, and whether it was reached', () => {
    assert.match(
      lines[2]!,
      /200 ms \(100 ms to 300 ms\) .* 2\.00 × \(1\.00 × to 3\.00 ×\) .* ≤ 1\.50 × \| no/,
    )
    assert.match(lines[2]!, /\| 100 MB +\| 3\.0 MB \/ 3\.0 MB \|/)
  })

  it('says where time went when a goal was missed, and only then', () => {
    assert.match(lines[2]!, /what to know; save 90, the rest 10 ms \|$/)
    assert.match(lines[4]!, /\| 1\/250 .* ≤ 1\/150 +\| yes +\| what to know \|$/)
  })

  it('says what could not run, and why, without breaking the line', () => {
    assert.match(lines[3]!, /^\| two +\| peer +\| n\/a .*no kernel \\\| no loop/)
  })

  it('shows sizes where the goal is one, and whose bytes are the same each time', () => {
    assert.match(lines[5]!, /\| 139 MB +\| 100 MB +\| 1\.39 × .*\| yes \/ – +\|.*≤ 1\.02 × \| no/)
  })
})
