/** Builds of one project that go on in the background, to be killed, interrupted, or run side by side. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, type TestContext } from 'node:test'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { Store } from '../../lib/engine/store/store.ts'
import { sampleTarget } from './sample-target.ts'
import { copyCode, type Scratch, scratchProject } from './scratch.ts'
import { atEnd } from './store.ts'

/** Files in out/ after a build of the whole sample. */
export const artifacts = 8
/** Milliseconds until a test gives up on what a build should tell. */
const patience = 300_000
let code: string
before(async () => {
  code = join(await mkdtemp(join(tmpdir(), 'fleetsie-crashes-')), 'code')
  await copyCode(code)
  await chmod(join(code, '..'), 0o755)
})
after(() => removeTree(join(code, '..')))

/** Targets: the whole sample, one quick stage, and one that waits until the test opens its gate. */
export async function project(t: TestContext): Promise<Scratch> {
  const scratch = await scratchProject(code)
  atEnd(t, () => scratch.remove())
  await scratch.write('overlays/part_2/etc/motd', 'hello\n')
  await scratch.write('pipeline.ts', pipeline(code))
  await scratch.write('gated.ts', gated(code))
  execFileSync('mkfifo', [join(scratch.project, 'gate'), join(scratch.project, 'pids')])
  return scratch
}

/** The store is whole and nobody's work folder is left. */
export async function assertWhole(scratch: Scratch): Promise<void> {
  const store = await Store.open(scratch.store)
  const { problems } = await store.verify()
  await store.close()
  assert.deepEqual(problems, [])
  assert.deepEqual(await readdir(join(scratch.store, 'stage')), [])
}

/** A build that goes on in the background. */
export function start(scratch: Scratch, args: string[], env: Record<string, string> = {}) {
  const [command, rest] = scratch.command([...args, '--json'])
  const child = spawn(command, rest, {
    cwd: scratch.project,
    env: scratch.env(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const told: BuildEvent[] = []
  const waiting: {
    wanted: (event: BuildEvent) => boolean
    resolve: () => void
    reject: (error: Error) => void
  }[] = []
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event = JSON.parse(line) as BuildEvent
    told.push(event)
    for (const { wanted, resolve } of waiting) if (wanted(event)) resolve()
  })
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const missed = (why: string) =>
    new Error(`${args.join(' ')} ${why}: ${stderr}\n${told.map((event) => JSON.stringify(event)).join('\n')}`)
  void closed.then(() => {
    for (const { reject } of waiting) reject(missed('ended without it'))
  })
  return {
    child,
    told,
    event: (wanted: (event: BuildEvent) => boolean): Promise<void> =>
      told.some(wanted)
        ? Promise.resolve()
        : new Promise((resolve, reject) => {
            waiting.push({ wanted, resolve, reject })
            setTimeout(() => reject(missed('did not tell it')), patience).unref()
          }),
    end: async () => {
      const [exitCode, signal] = await closed
      return { code: exitCode, signal, stderr, told }
    },
  }
}

export const begins = (stage: string) => (event: BuildEvent) =>
  event.type === 'start' && event.stage === stage

/** Processes whose command line or working folder lies below `folder`. */
export function processesIn(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')
        return line.includes(folder) ? [`${pid} ${line}`] : []
      } catch {
        return []
      }
    })
}

const pipeline = (code: string): string => `
import { decompress, fetch, install, mount, overlay, pipeline, save, sign } from '${code}/lib/index.ts'
import { deaf, family, gated } from './gated.ts'
await pipeline({
${sampleTarget}
  layer: () => overlay({ from: 'overlays' }),
  gated: () => gated({}),
  family: () => family({}),
  deaf: () => deaf({}),
})
`
const gated = (code: string): string => `
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { stage } from '${code}/lib/index.ts'
const folder = import.meta.dirname
const script = (name, text) => stage({
  kind: 'build', name, module: import.meta.url, summary: '', description: '', example: '', options: v.strictObject({}),
  async run(context) {
    context.signal.addEventListener('abort', () => context.note('interrupted'))
    await context.run('sh', ['-c', text, 'sh', folder])
    await writeFile(join(context.out, 'text'), 'done')
  },
})
export const gated = script('gated', 'cat "$1/gate"')
export const family = script('family', 'exec 3>"$1/pids"; echo $$ >&3; sleep 1000 3>&- & echo $! >&3; sh -c "sleep 1000 3>&- & echo \\\\$! >&3; exec 3>&-; wait" & exec 3>&-; wait')
export const deaf = script('deaf', 'trap "" TERM; echo $$ > "$1/pids"; while :; do sleep 1; done')
`
