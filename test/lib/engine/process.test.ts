import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type RunOptions, runner } from '../../../lib/engine/process.ts'
import { dead } from '../../helpers/processes.ts'

const home = mkdtempSync(join(tmpdir(), 'fleetsie-test-'))
after(() => rmSync(home, { recursive: true }))
const run = runner({ home })
const shell = (script: string, options?: RunOptions) => run('sh', ['-c', script], options)

const failures: [title: string, script: string, options: RunOptions, code: string, message: RegExp][] = [
  [
    'a failure tells command, exit code and last lines',
    'echo why >&2; exit 3',
    {},
    'E_STAGE',
    /^sh -c .* ended with exit code 3:\nwhy$/,
  ],
  ['a signal is named', 'kill -SEGV $$', {}, 'E_STAGE', /was ended by SIGSEGV/],
  [
    'a full disk is told apart',
    'echo "cp: x: No space left on device" >&2; exit 1',
    {},
    'E_IO',
    /No space left/,
  ],
  ['a program that hangs is ended', 'sleep 100', { timeout: 100 }, 'E_TIMEOUT', /ended after 100 ms/],
  ['too much output is refused', 'yes', { maxOutput: 1000 }, 'E_STAGE', /printed more than 1000 bytes/],
]
for (const [title, script, options, code, message] of failures) {
  test(title, () => assert.rejects(shell(script, options), { code, message }))
}

test('a program that is not there is E_TOOL', () =>
  assert.rejects(run('no-such-program', []), {
    code: 'E_TOOL',
    message: /`no-such-program` is not installed/,
  }))

test('a folder that is not there is not taken for a missing program', () =>
  assert.rejects(shell('true', { cwd: join(home, 'gone') }), {
    code: 'E_STAGE',
    file: join(home, 'gone'),
    message: /folder that does not exist/,
  }))

test('other exit codes may be fine', async () => {
  assert.equal((await shell('exit 3', { okCodes: [0, 3] })).exitCode, 3)
})

test('every child sees the same environment, whatever the user has set', async () => {
  process.env['LC_ALL'] = 'de_DE.UTF-8'
  process.env['TZ'] = 'Asia/Tokyo'
  const { stdout } = await shell('echo "$LC_ALL $TZ $HOME"')
  delete process.env['LC_ALL']
  delete process.env['TZ']
  assert.equal(stdout.toString(), `C.UTF-8 UTC ${home}\n`)
})

test('input is fed and output is kept', async () => {
  assert.equal((await run('cat', [], { input: 'x'.repeat(300_000) })).stdout.length, 300_000)
})

test('what a program leaves in its group ends with it', async () => {
  const { stdout } = await shell('sleep 1000 >/dev/null 2>&1 & echo $!')
  await dead(Number(stdout))
})

test('an abort ends the children of a child, too', async () => {
  const controller = new AbortController()
  const bound = runner({
    home,
    signal: controller.signal,
    log: (text) => text.includes('ready') && controller.abort(),
  })
  await assert.rejects(bound('sh', ['-c', 'sleep 1000 & echo ready >&2; wait']), { code: 'E_INTERRUPTED' })
})
