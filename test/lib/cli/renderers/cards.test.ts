import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { cardRow } from '../../../../lib/cli/renderers/card-lines.ts'
import { jsonRenderer } from '../../../../lib/cli/renderers/json.ts'
import { liveRenderer } from '../../../../lib/cli/renderers/live.ts'
import { plainRenderer } from '../../../../lib/cli/renderers/plain.ts'
import type { BuildEvent, CardProgress } from '../../../../lib/engine/events.ts'

const MiB = 2 ** 20
const progress = (card: string, more: Partial<CardProgress> = {}): BuildEvent => ({
  ...{ type: 'card-progress', card, phase: 'writing', done: 300 * MiB, total: 1200 * MiB },
  ...{ rate: 30 * MiB, left: 30_000, slowest: 'writing', ...more },
})
const report: BuildEvent = {
  ...{ type: 'card', card: 'sdc', how: 'receipt', resumed: false, bytesCompared: 0, bytesWritten: 65536 },
  ...{
    bytesVerified: 65536,
    bytesSaved: 1200 * MiB,
    sampled: 4 * MiB,
    ms: 1234,
    phases: {},
    slowest: 'verifying',
  },
}
const streams = () => ({ stdout: new PassThrough(), stderr: new PassThrough() })

test('the live view has a row for each card until that is done', () => {
  const to = streams()
  const renderer = liveRenderer(to as unknown as Parameters<typeof liveRenderer>[0], false)
  renderer.emit({ type: 'start', target: 't', stage: 'x', because: 'y' })
  renderer.emit(progress('sdc'))
  renderer.emit(progress('sdd', { slowest: 'decoding' }))
  renderer.emit({ type: 'note', message: 'draws' })
  const shown = String(to.stdout.read())
  const row = /sdc {6}writing {3}█{2}░{7} {2}300 MiB {2}30.0 MiB\/s {2}30.0 s left {2}slow: writing\n/
  assert.match(shown, row)
  assert.match(shown, /sdd .*slow: decoding\n/)
  renderer.emit(report)
  const after = String(to.stdout.read())
  assert.match(
    after,
    /sdc {10}done in 1.2 s: written 64.0 KiB, verified 64.0 KiB, saved 1.2 GiB, sampled 4.0 MiB\n/,
  )
  assert.match(after, /known from the receipt of its last write\n *safe to remove\n/)
  assert.doesNotMatch(after, /sdc {6}writing/)
  assert.match(after, /sdd {6}writing/)
  renderer.close()
})

test('a wide terminal has room for all of it', () => {
  const row = cardRow({ ...(progress('sdc') as CardProgress), slowest: 'decoding' }, 140)
  assert.equal(
    row,
    'sdc          writing   █████░░░░░░░░░░░░░░░  300 MiB of 1.2 GiB  30.0 MiB/s  30.0 s left  slowest: decoding the image',
  )
})

test('without a terminal a line tells of each phase when it begins and when it ends, and not of each step', () => {
  const to = streams()
  const renderer = plainRenderer(to, false)
  renderer.emit(progress('sdc', { done: 1 }))
  for (let step = 2; step < 50; step++) renderer.emit(progress('sdc', { done: step }))
  renderer.emit(progress('sdc', { done: 1200 * MiB, left: 0 }))
  renderer.emit(progress('sdc', { phase: 'verifying', done: 0 }))
  renderer.emit({ type: 'card-failed', card: 'sdd', code: 'E_IO', message: 'it is gone\nin detail' })
  const lines = String(to.stdout.read()).split('\n')
  assert.deepEqual(lines.slice(0, 3), [
    'sdc          writing 0 % of 1.2 GiB, 30.0 MiB/s, 30.0 s left',
    'sdc          writing 100 % of 1.2 GiB, 30.0 MiB/s, 0 ms left',
    'sdc          verifying 0 % of 1.2 GiB, 30.0 MiB/s, 30.0 s left',
  ])
  assert.equal(String(to.stderr.read()), 'sdd          failed: it is gone\n')
})

test('a report is one line of JSON with bytesWritten', () => {
  const to = new PassThrough()
  jsonRenderer(to).emit(report)
  assert.deepEqual(JSON.parse(String(to.read())), report)
})
