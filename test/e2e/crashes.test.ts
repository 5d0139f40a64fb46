/** Builds that are killed, interrupted, run side by side, or have no room: what is left, and what the next one does. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { Store } from '../../lib/engine/store/store.ts'
import { tracePoints } from '../../lib/engine/trace.ts'
import { needsRoot } from '../helpers/needs.ts'
import { dead, isAlive } from '../helpers/processes.ts'
import { copyCode, type Finished, type Scratch, scratchProject } from '../helpers/scratch.ts'
import { atEnd } from '../helpers/store.ts'

const artifacts = 8
/** Milliseconds until a test gives up on what a build should tell. */
const patience = 60_000
let code: string
before(async () => {
  code = join(await mkdtemp(join(tmpdir(), 'fleetsie-crashes-')), 'code')
  await copyCode(code)
  await chmod(join(code, '..'), 0o755)
})
after(() => removeTree(join(code, '..')))

/** Targets: the whole sample, one quick stage, and one that waits until the test opens its gate. */
async function project(t: TestContext): Promise<Scratch> {
  const scratch = await scratchProject(code)
  atEnd(t, () => scratch.remove())
  await scratch.write('overlays/part_2/etc/motd', 'hello\n')
  await scratch.write('pipeline.ts', pipeline(code))
  await scratch.write('gated.ts', gated(code))
  execFileSync('mkfifo', [join(scratch.project, 'gate'), join(scratch.project, 'pids')])
  return scratch
}

/** The store is whole and nobody's work folder is left. */
async function assertWhole(scratch: Scratch): Promise<void> {
  const store = await Store.open(scratch.store)
  const { problems } = await store.verify()
  await store.close()
  assert.deepEqual(problems, [])
  assert.deepEqual(await readdir(join(scratch.store, 'stage')), [])
}

/** A build that goes on in the background. */
function start(scratch: Scratch, args: string[], env: Record<string, string> = {}) {
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

const begins = (stage: string) => (event: BuildEvent) => event.type === 'start' && event.stage === stage
const built = (told: readonly BuildEvent[]): string[] =>
  told.flatMap((event) => (event.type === 'stage' && event.action === 'built' ? [event.stage] : []))

/** Processes whose command line or working folder lies below `folder`. */
function processesIn(folder: string): string[] {
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

describe('kill -9 at', () => {
  const points = tracePoints.filter((point) => point === 'workspace.made' || point.startsWith('publish.'))
  test('least the eight points of publishing are tried', () => assert.ok(points.length >= 8))
  for (const point of points) {
    test(`${point}: the next build succeeds, and the store is whole`, async (t) => {
      const scratch = await project(t)
      const killed = await scratch.run(['build', 'layer', '--json'], { env: { FLEETSIE_TRACE_KILL: point } })
      assert.equal(killed.code, null, `it did not come to ${point}`)
      const { code, stages, stderr } = await scratch.run(['build', 'layer', '--json'])
      assert.equal(code, 0, stderr)
      const published = point === 'publish.committed' || point === 'publish.logged'
      assert.deepEqual([...stages.keys()], [published ? 'overlay cached' : 'overlay built'])
      await assertWhole(scratch)
    })
  }

  test('any moment of a whole build, over and over: it goes on from what is finished', {
    timeout: 240_000,
  }, async (t) => {
    const scratch = await project(t)
    for (const stage of ['decompress', 'install', 'save', 'sign']) {
      const build = start(scratch, ['build'])
      await build.event(begins(stage))
      build.child.kill('SIGKILL')
      assert.equal((await build.end()).signal, 'SIGKILL')
    }
    const { code, stages, stderr } = await scratch.run(['build', '--json'])
    assert.equal(code, 0, stderr)
    assert.equal(stages.get('fetch cached'), 'nothing changed')
    assert.equal(
      (await readdir(join(scratch.project, 'out'))).length,
      artifacts,
      'no half-written file is left in out/',
    )
    assert.equal((await scratch.run(['verify', 'out/sample_fleetsie.img.xz'])).code, 0)
    await assertWhole(scratch)
  })
})

describe('what save keeps between builds', () => {
  /** A project that was built twice, so that all that is kept is there, and a third edit that waits. */
  const warm = async (t: TestContext): Promise<Scratch> => {
    const scratch = await project(t)
    for (const text of ['one', 'two']) {
      await scratch.write('overlays/part_2/etc/motd', text)
      const { code, stderr } = await scratch.run(['build'])
      assert.equal(code, 0, stderr)
    }
    await scratch.write('overlays/part_2/etc/motd', 'three')
    return scratch
  }

  test('is thrown away where a build is killed in it: the next one gives what a build from nothing gives', {
    timeout: 600_000,
  }, async (t) => {
    const scratch = await warm(t)
    for (const point of tracePoints.filter((name) => /^(carry|memo)\./.test(name))) {
      await scratch.write('overlays/part_2/etc/motd', point.repeat(10))
      const killed = await scratch.run(['build'], { env: { FLEETSIE_TRACE_KILL: point } })
      assert.equal(killed.code, null, `it did not come to ${point}`)
      // Compares with a run that is given nothing of what was kept.
      const { code, stderr } = await scratch.run(['build', '--check'])
      assert.equal(code, 0, `${point}: ${stderr}`)
      await assertWhole(scratch)
    }
  })

  test('is dropped where a byte of it was flipped, which is said', { timeout: 240_000 }, async (t) => {
    const scratch = await warm(t)
    const memo = join(scratch.store, 'memo')
    const files = readdirSync(memo).flatMap((name) =>
      readdirSync(join(memo, name)).map((id) => join(memo, name, id)),
    )
    assert.ok(files.length > 0)
    for (const file of files) {
      const bytes = readFileSync(file)
      bytes[bytes.length - 1]! ^= 1
      writeFileSync(file, bytes)
    }
    const verified = await scratch.run(['store', 'verify'])
    assert.equal(verified.code, 6)
    assert.ok(verified.stdout.includes(`${files[0]}: has another content`), verified.stdout)
    const { code, stderr } = await scratch.run(['build', '--check'])
    assert.equal(code, 0, stderr)
    assert.match(stderr, /warning: a result kept in \S+ was damaged; it is dropped and made again/)
    assert.equal((await scratch.run(['store', 'verify', '--repair'])).code, 0)
    await assertWhole(scratch)
  })
})

describe('two builds at once', () => {
  test('of the same: each stage runs once, and both succeed', { timeout: 240_000 }, async (t) => {
    const scratch = await project(t)
    const ends = await Promise.all([start(scratch, ['build']).end(), start(scratch, ['build']).end()])
    assert.deepEqual(
      ends.map(({ code }) => code),
      [0, 0],
      ends.map(({ stderr, told }) => stderr + JSON.stringify(told.at(-1))).join('\n'),
    )
    const all = ends.flatMap(({ told }) => built(told)).sort()
    assert.deepEqual(all, ['decompress', 'fetch', 'install', 'mount', 'overlay', 'save'])
    const [one, two] = ends.map(({ told }) => told.at(-1))
    assert.deepEqual(one, two, 'and both tell the same artifacts')
    assert.equal((await scratch.run(['verify', 'out/sample_fleetsie.img.xz'])).code, 0)
    await assertWhole(scratch)
  })

  test('the second says whom it waits for, and takes over the result', { timeout: 60_000 }, async (t) => {
    const scratch = await project(t)
    const first = start(scratch, ['build', 'gated'])
    await first.event(begins('gated'))
    const second = start(scratch, ['build', 'gated'])
    await second.event((event) => event.type === 'waiting')
    writeFileSync(join(scratch.project, 'gate'), 'open')
    const [one, two] = [await first.end(), await second.end()]
    assert.deepEqual([one.code, two.code], [0, 0])
    const waiting = two.told.find((event) => event.type === 'waiting')
    assert.match(
      waiting?.message ?? '',
      new RegExp(`^waiting for process ${first.child.pid} builds gated since \\d+ s$`),
    )
    const stage = two.told.find((event) => event.type === 'stage')
    assert.deepEqual([stage?.action, stage?.because], ['cached', 'another process has just built it'])
    await assertWhole(scratch)
  })

  test('when the first is killed, the second builds', { timeout: 60_000 }, async (t) => {
    const scratch = await project(t)
    const first = start(scratch, ['build', 'gated'])
    await first.event(begins('gated'))
    const second = start(scratch, ['build', 'gated'])
    await second.event((event) => event.type === 'waiting')
    const orphans = processesIn(join(scratch.project, 'gate'))
    first.child.kill('SIGKILL')
    await first.end()
    // Nobody ends the children of who was killed; this one would take what is meant for the second build.
    for (const pid of orphans.map((line) => Number.parseInt(line, 10))) {
      process.kill(pid, 'SIGKILL')
      await dead(pid)
    }
    await second.event(begins('gated'))
    writeFileSync(join(scratch.project, 'gate'), 'open')
    assert.equal((await second.end()).code, 0)
    await assertWhole(scratch)
  })
})

describe('interrupted', () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    test(`by ${signal}: exit code 130, no child, no grandchild, no mount, no work folder`, {
      timeout: 60_000,
    }, async (t) => {
      const scratch = await project(t)
      const mounts = readFileSync('/proc/self/mounts', 'utf8')
      const build = start(scratch, ['build', 'family'])
      // The stage's processes tell their numbers through the pipe.
      const pids = (await readFile(join(scratch.project, 'pids'), 'utf8')).trim().split('\n').map(Number)
      assert.equal(pids.length, 3)
      assert.deepEqual(pids.map(isAlive), [true, true, true])
      build.child.kill(signal)
      const { code, told } = await build.end()
      assert.equal(code, 130)
      const last = told.at(-1)
      assert.deepEqual(last, { type: 'error', code: 'E_INTERRUPTED', message: `interrupted by ${signal}` })
      assert.deepEqual(pids.filter(isAlive), [])
      assert.equal(readFileSync('/proc/self/mounts', 'utf8'), mounts)
      await assertWhole(scratch)
    })
  }

  test('while it saves: out/ stays empty, nothing runs on, and the next build goes on', {
    timeout: 240_000,
  }, async (t) => {
    const scratch = await project(t)
    const build = start(scratch, ['build'])
    await build.event(begins('save'))
    build.child.kill('SIGINT')
    assert.equal((await build.end()).code, 130)
    assert.deepEqual(processesIn(scratch.folder), [])
    assert.ok(!existsSync(join(scratch.project, 'out')))
    await assertWhole(scratch)
    const { code, stages } = await scratch.run(['build', '--json'])
    assert.equal(code, 0)
    assert.equal(stages.get('decompress cached'), 'nothing changed')
  })

  test('twice: it ends at once', { timeout: 60_000 }, async (t) => {
    const scratch = await project(t)
    const build = start(scratch, ['build', 'deaf'])
    const [pid] = (await readFile(join(scratch.project, 'pids'), 'utf8')).trim().split('\n').map(Number)
    const began = performance.now()
    build.child.kill('SIGINT')
    await build.event((event) => event.type === 'note' && event.message === 'interrupted')
    build.child.kill('SIGINT')
    assert.equal((await build.end()).code, 130)
    assert.ok(performance.now() - began < 4500, 'it did not wait for who ignores SIGTERM')
    await dead(pid!)
    await assertWhole(scratch)
  })
})

describe('no room', { skip: needsRoot }, () => {
  const mounted = (t: TestContext, folder: string, size: string): void => {
    mkdirSync(folder, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'fleetsie-test', folder])
    atEnd(t, async () => void execFileSync('umount', [folder]))
  }
  const refused = (ended: Finished, where: string): void => {
    assert.equal(ended.code, 8, ended.stderr)
    assert.ok(ended.stderr.includes(where), ended.stderr)
    assert.match(ended.stderr, /^error: /m)
    assert.doesNotMatch(ended.stderr, /^ {4}at /m)
  }

  for (const size of ['400k', '1200k', '3m', '5m']) {
    test(`a store of ${size}: exit code 8, a whole store, and success after it has grown`, {
      timeout: 240_000,
    }, async (t) => {
      const scratch = await project(t)
      mounted(t, scratch.store, size)
      refused(await scratch.run(['build']), scratch.store)
      assert.ok(!existsSync(join(scratch.project, 'out')))
      execFileSync('mount', ['-o', 'remount,size=400m', scratch.store])
      await assertWhole(scratch)
      const { code, stderr } = await scratch.run(['build'])
      assert.equal(code, 0, stderr)
    })
  }

  test('a read-only store: exit code 8, whether root or not may write elsewhere', async (t) => {
    const scratch = await project(t)
    mounted(t, scratch.store, '100m')
    assert.equal((await scratch.run(['build', 'layer'])).code, 0)
    execFileSync('mount', ['-o', 'remount,ro', scratch.store])
    refused(await scratch.run(['build', 'layer']), scratch.store)
    execFileSync('mount', ['-o', 'remount,rw', scratch.store])
    await assertWhole(scratch)
  })

  test("somebody else's store: exit code 8", async (t) => {
    const scratch = await project(t)
    assert.equal((await scratch.run(['build', 'layer'])).code, 0)
    await chmod(scratch.folder, 0o755)
    const by = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    refused(await scratch.run(['build', 'layer'], { by, env: { HOME: scratch.folder } }), scratch.store)
    await assertWhole(scratch)
  })

  test('in out/: exit code 8, nothing half-written, and the build is not lost', {
    timeout: 240_000,
  }, async (t) => {
    const scratch = await project(t)
    const out = join(scratch.project, 'out')
    mounted(t, out, '600k')
    refused(await scratch.run(['build']), out)
    const left = await readdir(out)
    assert.ok(!left.includes('sample_fleetsie.img.xz'), left.join(' '))
    assert.deepEqual(
      left.filter((name) => !name.startsWith('sample_fleetsie.') && name !== 'ca.crt'),
      [],
    )
    execFileSync('mount', ['-o', 'remount,size=10m', out])
    const { code, stages } = await scratch.run(['build', '--json'])
    assert.equal(code, 0)
    assert.ok(stages.has('save cached') && stages.has('sign applied'))
    assert.equal((await readdir(out)).length, artifacts)
  })
})

const pipeline = (code: string): string => `
import { decompress, fetch, install, mount, overlay, pipeline, save, sign } from '${code}/lib/index.ts'
import { deaf, family, gated } from './gated.ts'
await pipeline({
  sample: () => {
    const stock = fetch({ file: 'stock.img.xz' })
    const image = decompress({ from: stock })
    const layers = [overlay({ from: 'overlays' }), install({ image, os: 'Debian' })]
    return sign({ artifacts: save({ stock, image, table: mount({ image }), layers, name: 'sample' }) })
  },
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
