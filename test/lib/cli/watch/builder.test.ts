import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Attempt } from '../../../../lib/cli/watch/attempt.ts'
import { Builder } from '../../../../lib/cli/watch/builder.ts'
import type { Report } from '../../../../lib/cli/watch/messages.ts'
import { FleetsieError } from '../../../../lib/errors.ts'
import { type Rig, rig } from '../../../helpers/engine.ts'

/** A call that lasts until the test ends it or, where it has one, until its signal does. */
class Call<T> {
  readonly given: T
  readonly ended: Promise<void>
  end: () => void = () => {}

  constructor(given: T, signal: AbortSignal) {
    this.given = given
    this.ended = new Promise((resolve) => {
      this.end = resolve
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }
}

/** Calls in their order, for who waits for the next. */
class Calls<T> {
  readonly #calls: Call<T>[] = []
  #wake: () => void = () => {}

  add(given: T, signal: AbortSignal): Promise<void> {
    const call = new Call(given, signal)
    this.#calls.push(call)
    this.#wake()
    return call.ended
  }

  async next(): Promise<Call<T>> {
    while (this.#calls.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#calls.shift()!
  }
}

async function building(t: TestContext, wish: Parameters<Rig['stage']>[1] = {}) {
  const r: Rig = await rig(t)
  const pushes = new Calls<Attempt>()
  const runs = new Calls<AbortSignal>()
  r.write('input', 'one')
  const root = r.stage('reading', wish)({ file: 'input' })
  const builder = new Builder(
    { store: r.store, emit: () => {}, cwd: r.cwd, signal: new AbortController().signal },
    // Any module that nobody edits while this runs.
    { targets: {}, cwd: r.cwd, script: fileURLToPath(import.meta.resolve('../../../helpers/engine.ts')) },
    [{ name: 't', about: undefined, root, end: root }],
    {
      building: (attempt) => pushes.add(attempt, attempt.signal),
      built: (signal) => runs.add(signal, signal),
    },
  )
  return { r, builder, pushes, runs }
}

test('what a push reads is held until the push has ended, and not only until the build has', async (t) => {
  const { r, builder, pushes, runs } = await building(t)
  const released = t.mock.method(r.store, 'releaseLeases')
  builder.order(0, true)
  const push = await pushes.next()
  await runs.next()
  await setImmediate()
  assert.equal(released.mock.callCount(), 0)
  push.end()
  await setImmediate()
  assert.equal(released.mock.callCount(), 1)
  await builder.end()
})

test('an edit, and the end of the watch, end a push that has outlasted its build', async (t) => {
  const { r, builder, pushes, runs } = await building(t)
  builder.order(0, true)
  const first = await pushes.next()
  await runs.next()
  assert.equal(first.given.signal.aborted, false)
  r.write('input', 'two')
  builder.order(1, true)
  const second = await pushes.next()
  assert.equal(first.given.signal.aborted, true)
  await runs.next()
  await builder.end()
  assert.equal(second.given.signal.aborted, true)
})

test('a command that an edit has ended runs again, though the build made what was there before', async (t) => {
  const { r, builder, runs } = await building(t, {
    run: async ({ out }) => writeFile(join(out, 'text'), 'the same'),
  })
  builder.order(0, true)
  const first = await runs.next()
  r.write('input', 'two')
  builder.order(1, true)
  const second = await runs.next()
  assert.equal(first.given.aborted, true)
  assert.equal(second.given.aborted, false)
  await builder.end()
})

test('what failed is tried again after an edit, and not when nobody knows of one', async (t) => {
  const results = new Calls<string>()
  const { send, connected } = process
  const heed = (report: Report): boolean => {
    if (report.type === 'done') void results.add(report.result, new AbortController().signal)
    return true
  }
  Object.assign(process, { send: heed, connected: true })
  t.after(() => Object.assign(process, { send, connected }))
  let fails = true
  const { builder } = await building(t, {
    run: async ({ out }) => {
      if (fails) throw new FleetsieError('E_STAGE', 'it fails')
      await writeFile(join(out, 'text'), 'it works')
    },
  })
  builder.order(0, true)
  assert.equal((await results.next()).given, 'failed')
  // Until the failed build has let go.
  await setImmediate()
  fails = false
  builder.order(1, false)
  assert.equal((await results.next()).given, 'unchanged')
  builder.order(2, true)
  assert.equal((await results.next()).given, 'built')
  await builder.end()
})
