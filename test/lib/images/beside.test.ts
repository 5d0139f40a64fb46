import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { beside } from '../../../lib/images/beside.ts'

const never = new AbortController().signal

test('each task gives its result, in the order in which they were named', async () => {
  const late = new Promise<string>((resolve) => setImmediate(() => resolve('late')))
  assert.deepEqual(await beside(never, [() => late, async () => 2]), ['late', 2])
  assert.deepEqual(await beside(never, []), [])
})

test('the first failure stops the others, waits for them, and is the one that is told', async () => {
  const seen: string[] = []
  const follower = async (signal: AbortSignal): Promise<void> => {
    await once(signal, 'abort')
    await new Promise((resolve) => setImmediate(resolve))
    seen.push('ended')
    throw new Error('because of the other')
  }
  const failing = async (): Promise<void> => {
    throw new Error('the cause')
  }
  await assert.rejects(beside(never, [follower, failing, follower]), /the cause/)
  assert.deepEqual(seen, ['ended', 'ended'])
})

test('who stops all stops each', async () => {
  const stop = new AbortController()
  const task = async (signal: AbortSignal): Promise<void> => {
    await once(signal, 'abort')
    signal.throwIfAborted()
  }
  const all = beside(stop.signal, [task, task])
  stop.abort(new Error('enough'))
  await assert.rejects(all, /enough/)
})
