import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, test } from 'node:test'
import { Gate, rig, writeText } from '../../helpers/engine.ts'

describe('what runs, and why', () => {
  test('a first build runs every stage, a second none', async (t) => {
    const r = await rig(t)
    const a = r.stage('a')
    const b = r.stage('b')
    const root = () => b({ from: [a({ text: 'x' })] })
    assert.deepEqual((await r.build(root())).lines, [
      'a built it was never built before',
      'b built it was never built before',
    ])
    const second = await r.build(root())
    assert.deepEqual(second.lines, ['a cached nothing changed', 'b cached nothing changed'])
    assert.deepEqual([a.runs, b.runs], [1, 1])
    assert.equal(await readFile(second.artifacts[0]!.path, 'utf8'), 'x')
  })

  test('an option, a file, an input: each is named', async (t) => {
    const r = await rig(t)
    const a = r.stage('a')
    const b = r.stage('b')
    r.write('file', '1')
    const root = (text: string) => b({ from: [a({ file: 'file' })], text })
    await r.build(root('one'))
    assert.deepEqual((await r.build(root('two'))).lines, [
      'a cached nothing changed',
      'b built option text "one" -> "two"',
    ])
    r.write('file', '22')
    const { lines } = await r.build(root('two'))
    assert.match(lines[0]!, /^a built file changed \([0-9a-f]{4} -> [0-9a-f]{4}\)$/)
    assert.equal(lines[1], 'b built its input a (from.0) changed')
    r.write('file', '1')
    assert.match(
      (await r.build(root('two'))).lines[0]!,
      /^a cached built before with the same inputs; since the last run file changed/,
    )
  })

  test('a stage of the same name keeps its own reasons', async (t) => {
    const r = await rig(t)
    const a = r.stage('a')
    const root = (text: string) => a({ text: '-', from: [a({ text: 'left' }), a({ text })] })
    await r.build(root('right'))
    assert.deepEqual((await r.build(root('wrong'))).lines, [
      'a cached nothing changed',
      'a-2 built option text "right" -> "wrong"',
      'a-3 built its input a-2 (from.1) changed',
    ])
  })

  test('a pipeline in another folder has a history of its own', async (t) => {
    const r = await rig(t)
    const a = r.stage('a')
    const cwd = join(r.cwd, 'elsewhere')
    await r.build(a({ text: 'one' }))
    assert.deepEqual((await r.build(a({ text: 'two' }), { cwd })).lines, [
      'a built it was never built before',
    ])
    assert.deepEqual((await r.build(a({ text: 'one' }))).lines, ['a cached nothing changed'])
    const { lines } = await r.build(a({ text: 'one' }), { cwd })
    assert.deepEqual(lines, [
      'a cached built before with the same inputs; since the last run option text "two" -> "one"',
    ])
  })

  test('the same bytes stop the rebuild', async (t) => {
    const r = await rig(t)
    const a = r.stage('a', { run: async ({ out }) => writeFile(join(out, 'text'), 'always the same') })
    const b = r.stage('b')
    const c = r.stage('c')
    const root = (text: string) => c({ from: [b({ from: [a({ text })] })] })
    await r.build(root('1'))
    assert.deepEqual((await r.build(root('2'))).lines, [
      'a built option text "1" -> "2"',
      'b cached nothing changed',
      'c cached nothing changed',
    ])
    assert.deepEqual([a.runs, b.runs, c.runs], [2, 1, 1])
  })

  test('a fixed output keys on itself alone', async (t) => {
    const r = await rig(t)
    const a = r.stage('a', { fixed: 'sha256 1' })
    await r.build(a({ text: '1' }))
    assert.deepEqual((await r.build(a({ text: '2' }))).lines, ['a cached nothing changed'])
  })

  test('a fixed output that has to be made gets its inputs, which are left alone otherwise', async (t) => {
    const r = await rig(t)
    const below = r.stage('below')
    const fixed = r.stage('fixed', { fixed: 'sha256 2' })
    const root = () => fixed({ from: [below({ text: '1' })], text: '2' })
    assert.deepEqual((await r.build(root())).lines, [
      'below built it was never built before',
      'fixed built it was never built before',
    ])
    assert.deepEqual((await r.build(root())).lines, ['fixed cached nothing changed'])
  })

  test('--no-cache runs all, or the named stage, once', async (t) => {
    const r = await rig(t)
    const a = r.stage('a')
    const b = r.stage('b')
    const root = () => b({ from: [a(), a({ text: '2' })] })
    await r.build(root())
    assert.deepEqual((await r.build(root(), { noCache: new Set(['b']) })).lines, [
      'a cached nothing changed',
      'a-2 cached nothing changed',
      'b built --no-cache',
    ])
    const all = await r.build({ one: root(), two: root() }, { noCache: true })
    assert.equal(all.lines.filter((line) => line.endsWith('built --no-cache')).length, 3)
    assert.deepEqual([a.runs, b.runs], [4, 3], 'equal stages of two targets run once')
  })
})

describe('evicted results', () => {
  test('one is not made again while only what lies above it is needed', async (t) => {
    const r = await rig(t)
    const a = r.stage('a')
    const b = r.stage('b')
    const c = r.stage('c')
    const root = (text: string) => c({ text, from: [b({ text: 'b', from: [a({ text: 'x' })] })] })
    await r.build(root('1'))
    assert.deepEqual(await r.evict(), ['a', 'b'])
    assert.deepEqual((await r.build(root('1'))).lines, [
      'a cached nothing changed',
      'b cached nothing changed',
      'c cached nothing changed',
    ])
    assert.deepEqual([a.runs, b.runs, c.runs], [1, 1, 1])

    const today = new Date().toISOString().slice(0, 10)
    const { lines, artifacts } = await r.build(root('2'))
    assert.deepEqual(lines, [
      `a built its result was evicted on ${today} (unrooted)`,
      `b built its result was evicted on ${today} (unrooted)`,
      'c built option text "1" -> "2"',
    ])
    assert.equal(await readFile(artifacts[0]!.path, 'utf8'), '2bx')
  })

  test('only as far down as bytes are missing', async (t) => {
    const r = await rig(t)
    const a = r.stage('a')
    const b = r.stage('b')
    const c = r.stage('c')
    const middle = () => b({ text: 'b', from: [a({ text: 'x' })] })
    await r.build(c({ text: 'old', from: [middle()] }))
    await r.build({ keeps: middle(), t: c() })
    assert.deepEqual(await r.evict(), ['a', 'c'])
    const { lines } = await r.build(c({ text: 'new', from: [middle()] }))
    assert.deepEqual(lines.slice(0, 2), ['a cached nothing changed', 'b cached nothing changed'])
    assert.deepEqual([a.runs, b.runs], [1, 1])
  })
})

describe('what runs at once', () => {
  test('equal stages run once, whether shared or not, in one target and in two', async (t) => {
    const r = await rig(t)
    const gate = new Gate()
    const a = r.stage('a', {
      run: async (context) => {
        await gate.pass()
        await writeText(context)
      },
    })
    const b = r.stage('b')
    const shared = a({ text: 'same' })
    const building = r.build({
      one: b({ text: '1', from: [shared, a({ text: 'same' })] }),
      two: b({ text: '2', from: [shared] }),
    })
    await gate.arrived(1)
    gate.open()
    const { lines } = await building
    assert.equal(a.runs, 1)
    const built = lines.filter((line) => /\/a\S* built /.test(line))
    const joined = lines.filter((line) => /\/a\S* cached (one|two)\/a(-2)? has just built it$/.test(line))
    assert.deepEqual([built.length, joined.length, lines.length], [1, 2, 5], lines.join('\n'))
  })

  const bounds: [title: string, pool: 'cpu' | 'io' | 'net' | 'mount', jobs: number, most: number][] = [
    ['--jobs bounds stages that compute', 'cpu', 2, 2],
    ['--jobs bounds stages that read and write', 'io', 3, 3],
    ['downloads have a bound of their own', 'net', 1, 4],
    ['one stage mounts at a time', 'mount', 8, 1],
  ]
  for (const [title, pool, jobs, most] of bounds) {
    test(title, async (t) => {
      const r = await rig(t)
      const gate = new Gate()
      const a = r.stage('a', { pool, run: () => gate.pass() })
      const all = Array.from({ length: 6 }, (_, index) => a({ text: String(index) }))
      const events: string[] = []
      const building = r.build(r.stage('root', { run: async () => {} })({ from: all }), {
        jobs,
        emit: (event) => event.type === 'start' && events.push(event.stage),
      })
      await gate.arrived(most)
      // Whoever could start has: there is no gap in which a further one would.
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(events.length, most, 'who waits for a place has not started')
      gate.open()
      assert.equal((await building).error, undefined)
      assert.equal(gate.most, most)
      assert.equal(a.runs, 6)
    })
  }
})

test('programs of a stage see a pinned environment and nothing of the user', async (t) => {
  const r = await rig(t)
  let seen: string[] = []
  const a = r.stage('a', {
    run: async ({ run }) => {
      const { stdout } = await run('env', [])
      seen = stdout.toString().trim().split('\n').sort()
    },
  })
  process.env['MARK_OF_USER'] = 'yes'
  t.after(() => delete process.env['MARK_OF_USER'])
  await r.build(a(), { epoch: 12 })
  const names = seen.map((line) => line.split('=')[0])
  assert.deepEqual(names, ['HOME', 'LC_ALL', 'PATH', 'SOURCE_DATE_EPOCH', 'TZ'])
  assert.ok(
    seen.includes('SOURCE_DATE_EPOCH=12') && seen.includes('LC_ALL=C.UTF-8') && seen.includes('TZ=UTC'),
  )
})

test('what keys depend on is looked at at once, and below a fixed output not at all', async (t) => {
  const r = await rig(t)
  for (const name of ['x', 'y']) r.write(name, name)
  const fixed = r.stage('fixed', { fixed: 'output' })
  await r.build(fixed())
  const asked: string[] = []
  let release = (): void => {}
  const both = new Promise<void>((resolve) => {
    release = resolve
  })
  const original = r.store.sha256.bind(r.store)
  t.mock.method(r.store, 'sha256', async (file: string) => {
    if (asked.push(basename(file)) === 2) release()
    await both
    return original(file)
  })
  const unread = r.stage('unread')({ file: 'missing' })
  const below = r.stage('below')({ from: [fixed({ from: [unread] })], file: 'x' })
  const { error } = await r.build(r.stage('above')({ from: [below], file: 'y' }))
  assert.equal(error, undefined)
  assert.deepEqual(asked.slice(0, 2).sort(), ['x', 'y'])
})
