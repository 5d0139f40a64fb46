import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { BuildEvent } from '../../../lib/engine/events.ts'
import { FleetsieError } from '../../../lib/errors.ts'
import { Gate, type Rig, rig, stageLines, writeText } from '../../helpers/engine.ts'
import { isAlive } from '../../helpers/processes.ts'

const leftovers = (r: Rig): string[] => readdirSync(join(r.store.folder, 'stage'))

describe('a stage that fails', () => {
  test('leaves its log and nothing else; stage, command, last lines and log are named', async (t) => {
    const r = await rig(t)
    const a = r.stage('a', {
      run: async ({ run, out, log }) => {
        log('before it')
        await writeFile(join(out, 'half'), 'written')
        await run('sh', ['-c', 'echo first >&2; echo last >&2; exit 3'])
      },
    })
    const { error, events, artifacts } = await r.build(a())
    assert.equal(error?.code, 'E_STAGE')
    assert.match(error.message, /^sh -c .* ended with exit code 3:\nfirst\nlast$/)
    const [failed, ...more] = events.filter((event) => event.type === 'failed')
    assert.deepEqual(more, [], 'told once')
    assert.equal(failed?.stage, 'a')
    assert.equal(failed.message, error.message)
    assert.equal(readFileSync(failed.log!, 'utf8'), 'before it\nfirst\nlast\n')
    assert.deepEqual([leftovers(r), artifacts], [[], []])
    assert.deepEqual((await r.store.verify()).problems, [])
    assert.equal((await r.build(a())).error?.code, 'E_STAGE', 'a failure is not remembered as a result')
    assert.equal(a.runs, 2)
  })

  const thrown: [title: string, error: unknown, code: string, message: RegExp][] = [
    ['our errors stay as they are', new FleetsieError('E_DAMAGED', 'cut off'), 'E_DAMAGED', /^cut off$/],
    [
      'what a user throws is the failure of the stage',
      new Error('no such colour'),
      'E_STAGE',
      /^a: no such colour$/,
    ],
    ['a mistake in code is a bug', new TypeError('x is not a function'), 'E_BUG', /x is not a function/],
    [
      'an error of the system names the call',
      Object.assign(new Error('no space left'), { code: 'ENOSPC', syscall: 'write' }),
      'E_IO',
      /^write: no space left$/,
    ],
    ['what is no error at all', 'thrown string', 'E_STAGE', /thrown string/],
  ]
  for (const [title, error, code, message] of thrown) {
    test(title, async (t) => {
      const r = await rig(t)
      const outcome = await r.build(r.stage('a', { run: () => Promise.reject(error) })())
      assert.equal(outcome.error?.code, code)
      assert.match(outcome.error.message, message)
    })
  }

  test('stops what has not begun, lets finish what has, and fails no stage twice', async (t) => {
    const r = await rig(t)
    const [first, second] = [new Gate(), new Gate()]
    const bad = r.stage('bad', {
      run: async () => {
        await first.pass()
        throw new FleetsieError('E_STAGE', 'bad')
      },
    })
    const slow = r.stage('slow', {
      run: async (context) => {
        await second.pass()
        await writeText(context)
      },
    })
    const later = r.stage('later')
    const top = r.stage('top')
    const events: BuildEvent[] = []
    const emit = (event: BuildEvent): void => {
      events.push(event)
      if (event.type === 'failed') second.open()
    }
    const root = () => top({ from: [bad(), slow(), later(), later({ text: '2' })] })
    const building = r.build({ one: root(), two: later({ from: [slow()] }) }, { jobs: 2, emit })
    await Promise.all([first.arrived(1), second.arrived(1)])
    first.open()
    const { error } = await building
    const lines = stageLines(events, true)
    assert.equal(error?.message, 'bad')
    assert.deepEqual(lines, [
      'one/slow built it was never built before',
      'two/slow cached one/slow has just built it',
    ])
    assert.deepEqual([later.runs, top.runs], [0, 0])
    assert.equal(events.filter((event) => event.type === 'failed').length, 1)
    assert.equal(events.filter((event) => event.type === 'start').length, 2)
  })

  test('with --keep-going only what depends on it is not built', async (t) => {
    const r = await rig(t)
    const bad = r.stage('bad', { run: () => Promise.reject(new FleetsieError('E_STAGE', 'bad')) })
    const worse = r.stage('worse', { run: () => Promise.reject(new FleetsieError('E_IO', 'worse')) })
    const good = r.stage('good')
    const top = r.stage('top')
    const { error, lines, events } = await r.build(
      { one: top({ from: [bad(), worse(), good()] }), two: good({ text: '2' }) },
      { jobs: 1, keepGoing: true },
    )
    assert.equal(error?.message, 'bad')
    assert.deepEqual(lines, [
      'one/good built it was never built before',
      'two/good built it was never built before',
    ])
    const failed = events.flatMap((event) => (event.type === 'failed' ? [event.stage] : []))
    assert.deepEqual(failed.sort(), ['bad', 'worse'])
    assert.equal(top.runs, 0)
  })

  test('before it runs, for its sources or programs, is named too and stops the others', async (t) => {
    const r = await rig(t)
    const a = r.stage('a', { tools: ['no-such-program'] })
    const before = r.stage('before')
    const { error, events } = await r.build(r.stage('top')({ from: [before({ file: 'no such file' }), a()] }))
    assert.ok(error)
    const failed = events.flatMap((event) =>
      event.type === 'failed' ? [`${event.stage} ${event.code}`] : [],
    )
    assert.deepEqual(failed.sort(), ['a E_TOOL', 'before E_IO'])
  })

  test('opens a shell in its folder on demand, before the folder goes', async (t) => {
    const r = await rig(t)
    const a = r.stage('a', {
      run: async ({ out }) => {
        await writeFile(join(out, 'half'), 'written')
        throw new FleetsieError('E_STAGE', 'no')
      },
    })
    let seen: string[] = []
    const debugShell = async (folder: string): Promise<void> => {
      seen = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    }
    await r.build(a(), { debugShell })
    assert.ok(seen.includes('object/out/half'), seen.join(' '))
    assert.deepEqual(leftovers(r), [])
  })

  test('names a file of an input by the stage that made it', async (t) => {
    const r = await rig(t)
    const bad = r.stage('bad', {
      run: async ({ options }) => {
        throw new FleetsieError('E_INPUT', 'no good', { file: join(options.from[0]!.path, options.text) })
      },
    })
    const a = r.stage('maker')
    const file = async (text: string) => (await r.build(bad({ text, from: [a({ text: 'x' })] }))).error?.file
    assert.equal(await file('text'), 'text (made by maker)')
    assert.equal(await file(''), 'the result of maker')
    assert.match((await file('../elsewhere')) ?? '', /\/elsewhere$/)
  })

  test('deploys nothing', async (t) => {
    const r = await rig(t)
    const bad = r.stage('bad', { run: () => Promise.reject(new Error('bad')) })
    const put = r.stage('put', { apply: async () => [] })
    assert.equal((await r.build(put({ from: [bad()] }))).error?.message, 'bad: bad')
    assert.equal(put.runs, 0)
  })
})

describe('an interrupted build', () => {
  test('ends children and grandchildren, deaf ones too, and leaves nothing', {
    timeout: 60_000,
  }, async (t) => {
    const r = await rig(t)
    const controller = new AbortController()
    const pids: number[] = []
    // The second ignores SIGTERM; the third is the child of a child.
    const script = `sleep 1000 & echo $!; (trap '' TERM; while :; do sleep 1; done) & echo $!; sh -c 'sleep 1000 & echo $!; wait'; wait`
    const a = r.stage('a', {
      run: async ({ run }) => {
        await run('sh', ['-c', script], {
          output: async (stdout) => {
            for await (const text of stdout) {
              pids.push(...String(text).trim().split('\n').map(Number))
              if (pids.length === 3) controller.abort()
            }
          },
        })
      },
    })
    const after = r.stage('after')
    const { error, events } = await r.build(after({ from: [a()] }), { signal: controller.signal })
    assert.equal(error?.code, 'E_INTERRUPTED')
    assert.equal(error.exitCode, 130)
    assert.equal(pids.length, 3)
    assert.deepEqual(pids.filter(isAlive), [])
    assert.deepEqual(leftovers(r), [])
    assert.equal(after.runs, 0)
    assert.ok(events.some((event) => event.type === 'failed' && event.stage === 'a'))
    assert.deepEqual((await r.store.verify()).problems, [])
  })

  test('does not wait for a process that left its group', { timeout: 60_000 }, async (t) => {
    const r = await rig(t)
    const controller = new AbortController()
    let pid = 0
    const a = r.stage('a', {
      run: async ({ run }) => {
        await run('setsid', ['--fork', 'sh', '-c', 'echo $$; exec sleep 1000'], {
          output: async (stdout) => {
            for await (const text of stdout) {
              pid = Number(text)
              controller.abort()
            }
          },
        })
      },
    })
    t.after(() => process.kill(pid, 'SIGKILL'))
    const { error } = await r.build(a(), { signal: controller.signal })
    assert.equal(error?.code, 'E_INTERRUPTED')
  })

  test('is interrupted also where the stage says it in words of its own', async (t) => {
    const r = await rig(t)
    const controller = new AbortController()
    const a = r.stage('a', {
      run: async () => {
        controller.abort()
        throw new DOMException('This operation was aborted', 'AbortError')
      },
    })
    const { error } = await r.build(a(), { signal: controller.signal })
    assert.equal(error?.code, 'E_INTERRUPTED')
    assert.match(error.message, /^a was interrupted$/)
  })

  test('starts nothing any more', async (t) => {
    const r = await rig(t)
    const a = r.stage('a')
    assert.equal((await r.build(a(), { signal: AbortSignal.abort() })).error?.code, 'E_INTERRUPTED')
    assert.equal(a.runs, 0)
  })
})

test('a program that takes too long is ended with all that it started', async (t) => {
  const r = await rig(t)
  let pid = 0
  const a = r.stage('a', {
    run: async ({ run }) => {
      await run('sh', ['-c', 'sleep 1000 & echo $!; wait'], {
        // Long enough for `sh` to begin.
        timeout: 3_000,
        output: async (stdout) => {
          for await (const text of stdout) pid = Number(text)
        },
      })
    },
  })
  const { error } = await r.build(a())
  assert.equal(error?.code, 'E_TIMEOUT')
  assert.ok(pid > 0 && !isAlive(pid))
})

describe('--check', () => {
  test('builds again what is known and finds it equal', async (t) => {
    const r = await rig(t)
    const a = r.stage('a')
    const b = r.stage('b')
    const root = () => b({ text: 'b', from: [a({ text: 'x' })] })
    const first = await r.build(root(), { check: true })
    assert.deepEqual(first.lines, ['a built it was never built before', 'b built it was never built before'])
    assert.deepEqual([a.runs, b.runs], [2, 2])
    const second = await r.build(root(), { check: true })
    assert.deepEqual(second.lines, [
      'a cached built again and found equal',
      'b cached built again and found equal',
    ])
    assert.deepEqual([a.runs, b.runs], [3, 3])
    assert.deepEqual(leftovers(r), [])
  })

  const unstable: [title: string, run: (out: string, run: number) => Promise<void>, message: RegExp][] = [
    [
      'another byte',
      (out, run) => writeFile(join(out, 'file'), `same ${run}`),
      /^a is not reproducible: file: the first different byte is at 5 \(sizes 6 and 6\)$/,
    ],
    [
      'another name',
      (out, run) => writeFile(join(out, `file ${run}`), ''),
      /^a is not reproducible: file 1 is missing in the second build$/,
    ],
    [
      'another mode',
      (out, run) => writeFile(join(out, 'file'), '', { mode: run === 1 ? 0o755 : 0o644 }),
      /^a is not reproducible: file: only one of them is executable$/,
    ],
  ]
  for (const [title, write, message] of unstable) {
    test(`finds ${title}`, async (t) => {
      const r = await rig(t)
      const a = r.stage('a', { run: ({ out }) => write(out, a.runs) })
      const { error } = await r.build(a(), { check: true })
      assert.equal(error?.code, 'E_NOT_REPRODUCIBLE')
      assert.equal(error.exitCode, 104)
      assert.match(error.message, message)
      assert.deepEqual(leftovers(r), [])
    })
  }

  test('finds a digest that the stage declared wrongly, as store verify does', async (t) => {
    const r = await rig(t)
    const a = r.stage('a', {
      run: async (context) => {
        await writeText(context)
        context.declare('text', { sha256: '0'.repeat(64) })
      },
    })
    assert.equal((await r.build(a())).error, undefined)
    const { problems } = await r.store.verify()
    assert.equal(problems.length, 1)
    const { error } = await r.build(a(), { check: true })
    assert.equal(error?.code, 'E_STAGE')
    assert.match(error.message, /^a declares a digest that its file does not have$/)
  })
})

test('a deploy stage is no input', async (t) => {
  const r = await rig(t)
  const put = r.stage('put', { apply: async () => [] })
  assert.throws(() => r.stage('a')({ from: [put()] }), {
    code: 'E_OPTION',
    message: /takes the result of a build stage/,
  })
})

test('a log that cannot be written ends neither the stage nor the process', async (t) => {
  const r = await rig(t)
  const a = r.stage('a', {
    run: async (context) => {
      context.log('x'.repeat(100_000))
      await writeText(context)
    },
  })
  const workspace = r.store.workspace.bind(r.store)
  r.store.workspace = async () => {
    const made = await workspace()
    rmSync(made.log)
    symlinkSync('/dev/full', made.log)
    return made
  }
  const { error, lines } = await r.build(a())
  assert.equal(error, undefined)
  assert.equal(lines.length, 1)
})
