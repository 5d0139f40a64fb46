/** `watch` on a project: what an edit starts, what it cancels, and what it outlives. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { appendFile, mkdtemp, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { needsRoot } from '../helpers/needs.ts'
import { succeeds } from '../helpers/npm-project.ts'
import { dead, isAlive } from '../helpers/processes.ts'
import { copyCode, type Scratch, scratchProject } from '../helpers/scratch.ts'
import { atEnd } from '../helpers/store.ts'
import { edit, Watching } from '../helpers/watching.ts'

let code: string
before(async () => {
  code = join(await mkdtemp(join(tmpdir(), 'fleetsie-watch-')), 'code')
  await copyCode(code)
})
after(() => removeTree(join(code, '..')))

async function project(t: TestContext): Promise<Scratch> {
  const scratch = await scratchProject(code)
  atEnd(t, () => scratch.remove())
  await scratch.write('overlays/part_2/etc/motd', 'hello\n')
  await scratch.write('input', 'one')
  await scratch.write('slow.ts', slow(code))
  await scratch.write('pipeline.ts', pipeline(code))
  execFileSync('mkfifo', [join(scratch.project, 'gate')])
  return scratch
}

/** A watch that is ended with the test. */
function watching(
  t: TestContext,
  scratch: Scratch,
  ...how: ConstructorParameters<typeof Watching> extends [unknown, ...infer R] ? R : never
): Watching {
  const watch = new Watching(scratch, ...how)
  atEnd(t, async () => {
    watch.process.kill('SIGTERM')
    await watch.closed
  })
  return watch
}

const at = (scratch: Scratch, name: string): string => join(scratch.project, name)
const git = (scratch: Scratch, ...args: string[]) =>
  succeeds('git', ['-c', 'user.name=t', '-c', 'user.email=t@localhost', ...args], { cwd: scratch.project })
const changedPaths = (events: readonly BuildEvent[]) =>
  events.flatMap((event) => (event.type === 'changed' ? [event] : []))

/** The digests of what a build in an empty store makes. */
async function fromNothing(scratch: Scratch, target: string): Promise<string[]> {
  const store = join(scratch.folder, `store-${Math.random()}`)
  const { events, stderr } = await scratch.run(['build', target, '--json'], {
    env: { FLEETSIE_STORE: store },
  })
  const artifacts = events.flatMap((event) => (event.type === 'artifacts' ? event.artifacts : []))
  assert.ok(artifacts.length > 0, stderr)
  return artifacts.map(({ sha256 }) => sha256)
}

test('edits of an overlay: each starts the build of what it changes, and says so', async (t) => {
  const scratch = await project(t)
  await scratch.write('.gitignore', '*.ignored\nnode_modules\n')
  await git(scratch, 'init', '-q')
  await git(scratch, 'add', '-A')
  const watch = watching(t, scratch, ['layer'])
  assert.deepEqual((await watch.ready()).stages, ['overlay built'])
  const motd = at(scratch, 'overlays/part_2/etc/motd')

  await edit(scratch, 'overlays/part_2/etc/motd', 'edited\n')
  const first = await watch.ready()
  assert.equal(first.ready.result, 'built')
  assert.deepEqual(changedPaths(first.events), [
    { type: 'changed', paths: ['overlays/part_2/etc/motd'], more: 0 },
  ])
  const because = first.events.flatMap((event) => (event.type === 'stage' ? [event.because] : []))
  assert.match(because.join(), /^overlays\/part_2\/etc\/motd changed \(/)
  assert.equal(first.ready.artifacts.length, 1)

  await utimes(motd, new Date(0), new Date(0))
  const touch = await watch.ready()
  assert.deepEqual(touch.events, [touch.ready])
  assert.equal(touch.ready.result, 'unchanged')

  await edit(scratch, 'overlays/part_2/etc/deep/er/new', 'new')
  assert.deepEqual((await watch.ready('built')).stages, ['overlay built'])
  await appendFile(at(scratch, 'overlays/part_2/etc/deep/er/new'), '!')
  assert.deepEqual((await watch.ready('built')).stages, ['overlay built'])

  await scratch.write('overlays/part_2/etc/a.ignored', 'ignored')
  assert.equal((await watch.ready()).ready.result, 'unchanged')
  await git(scratch, 'add', '-f', 'overlays/part_2/etc/a.ignored')
  const added = await watch.ready('built')
  assert.ok(added.stages.includes('overlay built'))

  await rename(motd, at(scratch, 'overlays/part_2/etc/issue'))
  assert.deepEqual((await watch.ready('built')).stages, ['overlay built'])
  await rm(at(scratch, 'overlays/part_2/etc/deep'), { recursive: true })
  const { ready } = await watch.ready('built')
  assert.deepEqual(
    ready.artifacts.map(({ sha256 }) => sha256),
    await fromNothing(scratch, 'layer'),
  )
})

test('500 files of another branch end in one build, which is the right one', async (t) => {
  const scratch = await project(t)
  await scratch.write('.gitignore', 'node_modules\ngate\n')
  await git(scratch, 'init', '-q', '-b', 'a')
  const fill = async (text: string): Promise<void> => {
    for (let i = 0; i < 500; i++) await scratch.write(`overlays/part_2/srv/${i % 40}/${i}`, `${text} ${i}`)
    await git(scratch, 'add', '-A')
    await git(scratch, 'commit', '-q', '-m', text)
  }
  await fill('a')
  await git(scratch, 'checkout', '-q', '-b', 'b')
  await rm(at(scratch, 'overlays/part_2/srv'), { recursive: true })
  await fill('b')
  const watch = watching(t, scratch, ['layer'])
  await watch.ready()
  for (const branch of ['a', 'b']) {
    await git(scratch, 'checkout', '-q', branch)
    const { events, ready, stages } = await watch.ready('built')
    assert.deepEqual(stages, [branch === 'a' ? 'overlay built' : 'overlay cached'])
    const [changed, ...others] = changedPaths(events)
    assert.ok(changed && changed.paths.length === 3 && changed.more >= 497, JSON.stringify(changed))
    assert.deepEqual(others, [])
    assert.deepEqual(
      ready.artifacts.map(({ sha256 }) => sha256),
      await fromNothing(scratch, 'layer'),
    )
  }
  // Every folder was deleted and made again twice: it is watched all the same.
  await edit(scratch, 'overlays/part_2/srv/7/7', 'edited')
  assert.deepEqual((await watch.ready('built')).stages, ['overlay built'])
})

test('an edit ends the build under way, and its programs; one that changes nothing does not', async (t) => {
  const scratch = await project(t)
  const watch = watching(t, scratch, ['slow'])
  const pid = (): number => Number(readFileSync(at(scratch, 'pid'), 'utf8'))
  const running = async (): Promise<BuildEvent[]> =>
    watch.until((event) => event.type === 'note' && event.message.startsWith('running'))
  await running()
  const first = pid()
  await utimes(at(scratch, 'input'), new Date(0), new Date(0))
  assert.equal((await watch.ready()).ready.result, 'unchanged')
  assert.ok(isAlive(first))

  await edit(scratch, 'input', 'two')
  const events = await running()
  assert.ok(!isAlive(first))
  assert.ok(!events.some(({ type }) => type === 'failed' || type === 'error' || type === 'ready'))
  await writeFile(at(scratch, 'gate'), '')
  const { ready } = await watch.ready()
  assert.equal(ready.result, 'built')
  assert.equal(readFileSync(ready.artifacts[0]!.path, 'utf8'), 'two')

  await edit(scratch, 'input', 'three')
  await running()
  const last = pid()
  assert.equal(await watch.interrupt(), 130)
  await dead(last)
  assert.deepEqual(await readdir(join(scratch.store, 'stage')), [])
})

test('a file that is written while it is read ends in what it holds last', async (t) => {
  const scratch = await project(t)
  const watch = watching(t, scratch, ['layer'])
  await watch.ready()
  const file = at(scratch, 'overlays/part_2/growing')
  for (let i = 0; i < 60; i++) await appendFile(file, Buffer.alloc(300_000, i))
  const [wanted] = await fromNothing(scratch, 'layer')
  await watch.until((event) => event.type === 'ready' && event.artifacts[0]?.sha256 === wanted)
})

test('who is killed takes its builder and its programs along', async (t) => {
  const scratch = await project(t)
  const watch = watching(t, scratch, ['slow'])
  await watch.until((event) => event.type === 'note')
  assert.equal(await watch.interrupt('SIGKILL'), null)
  // Both have let go of its output by now.
  await dead(Number(readFileSync(at(scratch, 'pid'), 'utf8')))
  assert.deepEqual(await readdir(join(scratch.store, 'stage')), [])
})

test('a broken pipeline.ts, a failing stage and a missing file are told, and mended by an edit', async (t) => {
  const scratch = await project(t)
  const watch = watching(t, scratch, ['layer'])
  await watch.ready()
  const script = at(scratch, 'pipeline.ts')
  const errorOf = async (): Promise<Extract<BuildEvent, { type: 'error' }>> => {
    const { events } = await watch.ready('failed')
    return events.find((event) => event.type === 'error')!
  }
  await edit(scratch, 'pipeline.ts', pipeline(code).replace('await pipeline(', 'await pipeline((('))
  const broken = await errorOf()
  assert.equal(broken.code, 'E_INPUT')
  assert.equal(broken.file, script)
  await edit(scratch, 'pipeline.ts', pipeline(code).replace("from: 'overlays'", 'from: 1'))
  assert.equal((await errorOf()).code, 'E_OPTION')
  await edit(scratch, 'pipeline.ts', pipeline(code))
  assert.equal((await watch.ready()).ready.result, 'same')

  await edit(scratch, 'overlays/part_2.mtree', 'no mtree\n')
  assert.equal((await errorOf()).file, 'overlays/part_2.mtree')
  await rename(at(scratch, 'overlays'), at(scratch, 'elsewhere'))
  assert.match((await errorOf()).message, /there is no folder overlays/)
  await rm(at(scratch, 'elsewhere/part_2.mtree'))
  await rename(at(scratch, 'elsewhere'), at(scratch, 'overlays'))
  assert.equal((await watch.ready()).ready.result, 'same')

  // The stage's own code.
  await edit(scratch, 'slow.ts', slow(code).replace("'slow'", "'slower'"))
  assert.equal((await watch.ready()).ready.result, 'same')
  await appendFile(at(scratch, 'overlays/part_2/etc/motd'), 'more')
  assert.deepEqual((await watch.ready('built')).stages, ['overlay built'])
})

test('a project that is deleted and made again is watched on', async (t) => {
  const scratch = await project(t)
  const watch = watching(t, scratch, ['layer'])
  await watch.ready()
  const kept = join(scratch.folder, 'kept')
  execFileSync('cp', ['-a', scratch.project, kept])
  await rm(scratch.project, { recursive: true })
  await watch.until((event) => event.type === 'error' && /is gone/.test(event.message))
  await rename(kept, scratch.project)
  assert.equal((await watch.ready('same')).ready.result, 'same')
  await edit(scratch, 'overlays/part_2/etc/motd', 'after all')
  assert.deepEqual((await watch.ready('built')).stages, ['overlay built'])
})

const namespaces = spawnSync('unshare', ['-Ur', 'true']).status === 0 ? false : 'needs user namespaces'
test('without enough inotify watches it looks at the files, and names the setting', {
  skip: namespaces,
}, async (t) => {
  const scratch = await project(t)
  const limit = 'echo 4 > /proc/sys/user/max_inotify_watches && exec "$@"'
  const watch = watching(t, scratch, ['layer'], { by: ['unshare', '-Ur', 'sh', '-c', limit, 'sh'] })
  const { events } = await watch.ready()
  const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  assert.equal(warnings.length, 1, warnings.join('\n'))
  assert.match(warnings[0]!, /raise the limit: sudo sysctl fs\.inotify\.max_user_watches=/)
  await edit(scratch, 'overlays/part_2/etc/motd', 'polled')
  assert.deepEqual((await watch.ready('built')).stages, ['overlay built'])
  await edit(scratch, 'overlays/part_2/new/folder/file', 'polled')
  assert.deepEqual((await watch.ready('built')).stages, ['overlay built'])
  await edit(scratch, 'pipeline.ts', `${pipeline(code)}\n`)
  assert.equal((await watch.ready('same')).ready.result, 'same')
})

describe('--then', () => {
  test('runs after each build that changed something, is ended by the next edit, and may fail', async (t) => {
    const scratch = await project(t)
    const command =
      'echo $$ >then-pid; echo "$USER_WORD"; if grep -q wait overlays/part_2/etc/motd; then sleep 1000; fi; echo oh >&2; exit 3'
    const watch = watching(t, scratch, ['layer', '--then', command], { env: { USER_WORD: 'mine' } })
    const output = async (text: string): Promise<BuildEvent[]> =>
      watch.until((event) => event.type === 'output' && event.text === text)
    await output('mine')
    await output('oh')
    await watch.until((event) => event.type === 'warning' && /--then: .*exit code 3/.test(event.message))
    await edit(scratch, 'overlays/part_2/etc/motd', 'wait')
    await output('mine')
    const pid = Number(readFileSync(at(scratch, 'then-pid'), 'utf8'))
    assert.ok(isAlive(pid))
    await edit(scratch, 'overlays/part_2/etc/motd', 'on')
    const events = await output('oh')
    await dead(pid)
    assert.ok(!events.some((event) => event.type === 'warning'), 'that it was ended is no news')
  })

  test('runs again when its end came with the builder, though the same was built', async (t) => {
    const scratch = await project(t)
    const watch = watching(t, scratch, ['layer', '--then', 'echo $$; sleep 1000'])
    const pid = async (): Promise<number> => {
      const events = await watch.until((event) => event.type === 'output')
      return Number((events.at(-1) as { text: string }).text)
    }
    const before = await pid()
    await edit(scratch, 'pipeline.ts', `${pipeline(code)}(`)
    await watch.ready('failed')
    await dead(before)
    await edit(scratch, 'pipeline.ts', `${pipeline(code)}\n`)
    assert.ok(isAlive(await pid()))
  })

  test('takes a program after `--`; stops at the stage of --until; ends when its stdin does', async (t) => {
    const scratch = await project(t)
    const args = ['image', '--until', 'overlay', '--then', '--', 'printf', '%s\\n', 'a  b']
    const watch = watching(t, scratch, args)
    const events = await watch.until((event) => event.type === 'output')
    assert.equal((events.at(-1) as { text: string }).text, 'a  b')
    assert.deepEqual(
      events.flatMap((event) => (event.type === 'stage' ? [event.stage] : [])),
      ['overlay'],
    )
    watch.process.stdin!.end()
    assert.deepEqual(await watch.closed, [0, null])
  })
})

test('a wrong command line ends it', async (t) => {
  const scratch = await project(t)
  for (const [args, message] of [
    [['nothing'], /there is no target/],
    [['layer', '--until', 'nothing'], /there is no such stage/],
    [['layer', '--', 'true'], /takes --then/],
    [['layer', '--sync', 'root@device'], /--sync takes a target that makes an image.*stage `save`/],
  ] as const) {
    const { code, stdout } = await scratch.run(['watch', '--json', ...args])
    assert.equal(code, 1)
    assert.match(stdout, message)
  }
})

test('a full disk fails a build and not the watch', { skip: needsRoot }, async (t) => {
  const scratch = await project(t)
  mkdirSync(scratch.store)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'fleetsie-test', scratch.store])
  atEnd(t, async () => void execFileSync('umount', [scratch.store]))
  const watch = watching(t, scratch, ['layer'])
  await watch.ready('built')
  // Whole at once: one that grows while it is hashed fails the build as well.
  await writeFile(join(scratch.folder, 'large'), Buffer.alloc(6 << 20, 'x'))
  await rename(join(scratch.folder, 'large'), at(scratch, 'overlays/part_2/large'))
  const { events } = await watch.ready('failed')
  assert.equal(events.find((event) => event.type === 'error')?.code, 'E_IO')
  assert.deepEqual(await readdir(join(scratch.store, 'stage')), [])
  execFileSync('mount', ['-o', 'remount,size=40m', scratch.store])
  await appendFile(at(scratch, 'overlays/part_2/etc/motd'), 'again')
  const { ready } = await watch.ready('built')
  await watch.interrupt()
  assert.ok(existsSync(ready.artifacts[0]!.path))
  assert.deepEqual(
    ready.artifacts.map(({ sha256 }) => sha256),
    await fromNothing(scratch, 'layer'),
  )
})

const pipeline = (code: string): string => `
import { decompress, fetch, install, mount, overlay, pipeline, save } from '${code}/lib/index.ts'
import { slow } from './slow.ts'
await pipeline({
  layer: () => overlay({ from: 'overlays' }),
  slow: () => slow({ file: 'input' }),
  image: () => {
    const stock = fetch({ file: 'stock.img.xz' })
    const image = decompress({ from: stock })
    return save({ stock, image, table: mount({ image }), layers: [overlay({ from: 'overlays' })], name: 'sample' })
  },
})
`
const slow = (code: string): string => `
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stage, v } from '${code}/lib/index.ts'
const folder = import.meta.dirname
export const slow = stage({
  kind: 'build', name: 'slow', module: import.meta.url, summary: '', description: '', example: '',
  options: v.strictObject({ file: v.string() }),
  async sources({ file }, host) {
    const from = join(host.cwd, file)
    return [{ path: file, type: 'file', mode: 0o644, sha256: await host.sha256(from), from }]
  },
  async run(context) {
    const text = await readFile(context.sources[0].from)
    await writeFile(join(folder, 'pid'), '')
    const sh = context.run('sh', ['-c', 'echo $$ > "$1/pid"; echo; cat "$1/gate"', 'sh', folder], {
      async output(stdout) { for await (const _ of stdout) context.note(\`running \${text}\`) },
    })
    await sh
    await writeFile(join(context.out, 'text'), text)
  },
})
`
