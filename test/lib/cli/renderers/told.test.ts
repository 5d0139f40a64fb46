import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toldRenderer } from '../../../../lib/cli/renderers/told.ts'
import type { BuildEvent } from '../../../../lib/engine/events.ts'

test('an interruption is left to the process that shows events; all else is told', () => {
  const told: BuildEvent[] = []
  const renderer = toldRenderer((event) => told.push(event))
  const failed: BuildEvent = { type: 'error', code: 'E_IO', message: 'full' }
  renderer.emit({ type: 'error', code: 'E_INTERRUPTED', message: 'interrupted by SIGINT' })
  renderer.emit(failed)
  assert.deepEqual(told, [failed])
})
