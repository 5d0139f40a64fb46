import assert from 'node:assert/strict'
import { mock, type TestContext, test } from 'node:test'
import { Burst, type Edits } from '../../../../lib/engine/watch/burst.ts'

/** A burst with a clock that the test moves. */
function burst(t: TestContext, busy = () => false) {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.after(() => mock.timers.reset())
  let now = 0
  const told: Edits[] = []
  const made = new Burst(
    (edits) => told.push(edits),
    busy,
    () => now,
  )
  const pass = (ms: number): void => {
    for (let i = 0; i < ms; i++) {
      now++
      mock.timers.tick(1)
    }
  }
  return { burst: made, told, pass }
}

test('one edit is told of 12 ms after its last event', (t) => {
  const { burst: one, told, pass } = burst(t)
  one.add('/a')
  pass(10)
  one.add('/a')
  pass(11)
  assert.equal(told.length, 0)
  pass(1)
  assert.deepEqual(told, [{ paths: ['/a'], more: 0, at: 10 }])
  pass(5_000)
  assert.equal(told.length, 1)
})

test('many files wait until nothing has happened for 100 ms', (t) => {
  const { burst: many, told, pass } = burst(t)
  for (let i = 0; i < 500; i++) {
    many.add(`/${i}`)
    if (i % 10 === 9) pass(i > 20 ? 30 : 1)
  }
  pass(69)
  assert.equal(told.length, 0)
  pass(1)
  assert.equal(told.at(0)?.paths.length, 500)
})

test('who never stops is told of after 2 s', (t) => {
  const { burst: endless, told, pass } = burst(t)
  for (let i = 0; i < 250; i++) {
    endless.add('/log')
    pass(10)
  }
  assert.deepEqual(told, [{ paths: ['/log'], more: 0, at: 1_990 }])
})

test('while somebody is at work there is more to come, but he is not believed for ever', (t) => {
  let busy = true
  const { burst: waits, told, pass } = burst(t, () => busy)
  waits.add('/a')
  pass(1_000)
  assert.equal(told.length, 0)
  busy = false
  pass(20)
  assert.equal(told.length, 1)
  busy = true
  waits.add('/b')
  pass(5_100)
  assert.equal(told.length, 2)
})

test('of more than 10,000 paths only the number is kept', (t) => {
  const { burst: huge, told, pass } = burst(t)
  for (let i = 0; i < 10_005; i++) huge.add(`/${i}`)
  huge.add('/1')
  huge.add()
  pass(100)
  assert.deepEqual([told[0]!.paths.length, told[0]!.more], [10_000, 5])
})

test('what was heard before a stop is forgotten', (t) => {
  const { burst: stopped, told, pass } = burst(t)
  stopped.add('/a')
  stopped.stop()
  pass(50)
  assert.equal(told.length, 0)
})
