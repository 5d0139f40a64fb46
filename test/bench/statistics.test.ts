import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { median, pairwise, spread, unpaired } from '../../bench/statistics.ts'

describe('medians of runs', () => {
  const cases: [string, number[], number][] = [
    ['one run is its own median', [7], 7],
    ['the middle of an odd number, whatever the order', [9, 1, 5], 5],
    ['the mean of the two in the middle of an even number', [4, 1, 10, 2], 3],
    ['numbers are not sorted as text', [10, 9, 100], 10],
  ]
  for (const [title, values, expected] of cases) it(title, () => assert.equal(median(values), expected))

  it('of nothing there is none', () => assert.throws(() => median([]), RangeError))

  it('least and most stand beside it', () =>
    assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3 }))
})

describe('ratios', () => {
  it('are taken run by run, so that a machine that slows down does not count', () => {
    assert.deepEqual(pairwise([1, 2, 30], [1, 1, 10]), { median: 2, min: 1, max: 3 })
  })

  it('need a pair for each run', () => assert.throws(() => pairwise([1, 2], [1]), RangeError))

  it('of runs that are no pairs lie between the widest two', () =>
    assert.deepEqual(unpaired([1, 2, 4], [10, 20]), { median: 2 / 15, min: 1 / 20, max: 4 / 10 }))
})
