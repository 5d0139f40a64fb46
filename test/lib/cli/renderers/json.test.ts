import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { jsonRenderer } from '../../../../lib/cli/renderers/json.ts'
import type { BuildEvent } from '../../../../lib/engine/events.ts'

/** What comes out when events arrive so many milliseconds after the start. */
function rendered(events: [ms: number, event: BuildEvent][]): unknown[] {
  const stdout = new PassThrough()
  let clock = 0
  const renderer = jsonRenderer(stdout, () => clock)
  for (const [ms, event] of events) {
    clock = ms
    renderer.emit(event)
  }
  renderer.close()
  const text = String(stdout.read() ?? '')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as unknown)
}

const progress = (stage: string, done: number): BuildEvent => ({
  type: 'progress',
  target: 't',
  stage,
  done,
  total: 100,
  unit: 'bytes',
})

test('every event is one line of JSON, whatever it holds', () => {
  const event: BuildEvent = { type: 'note', message: 'two\nlines and \u2028 "quotes"' }
  assert.deepEqual(
    rendered([
      [0, event],
      [0, event],
    ]),
    [event, event],
  )
})

test('progress is told five times a second for each stage, its end always', () => {
  const seen = rendered([
    [0, progress('a', 1)],
    [10, progress('b', 1)],
    [199, progress('a', 2)],
    [200, progress('a', 3)],
    [201, progress('a', 4)],
    [202, progress('a', 100)],
  ])
  assert.deepEqual(seen, [progress('a', 1), progress('b', 1), progress('a', 3), progress('a', 100)])
})
