/** For tests that use npm and this program as a user does: programs in a folder, in the environment of a user's shell. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { BuildEvent } from '../../lib/engine/events.ts'

export const checkout = join(import.meta.dirname, '..', '..')

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** The environment of a shell: nothing of the npm and of the test runner that started this test. */
export function shellEnvironment(added: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = /^npm_config_(registry|cache|.*proxy|cafile)$/i
  const ours = (name: string): boolean =>
    /^(npm_|NODE_OPTIONS$|NODE_TEST_CONTEXT$|INIT_CWD$|FLEETSIE_)/.test(name)
  const env = Object.entries(process.env).filter(([name]) => kept.test(name) || !ours(name))
  return { ...Object.fromEntries(env), ...added }
}

export function program(
  command: string,
  args: readonly string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv },
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: shellEnvironment(),
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const ended: Ended = { code: null, stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      ended.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      ended.stderr += text
    })
    child.once('error', reject)
    child.once('close', (code) => resolve({ ...ended, code }))
  })
}

/** The same, and the test fails when the program does. */
export async function succeeds(
  command: string,
  args: readonly string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv },
): Promise<Ended> {
  const ended = await program(command, args, options)
  assert.equal(ended.code, 0, `${command} ${args.join(' ')}\n${ended.stdout}${ended.stderr}`)
  return ended
}

/** What a verb printed with --json. */
export function events(text: string): BuildEvent[] {
  const lines = text.split('\n').filter((line) => line.startsWith('{'))
  return lines.map((line) => JSON.parse(line) as BuildEvent)
}
