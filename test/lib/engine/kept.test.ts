import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { BuildContext } from '../../../lib/engine/stage.ts'
import { type Rig, rig, textOf } from '../../helpers/engine.ts'

interface Seen {
  carried: string
  memo: string
}

/** A stage whose module is `module.ts` and whose program is `sh`. It tells what the runs before left for it. */
function keeping(r: Rig, wish: { tools?: string[]; fixed?: string } = {}) {
  const seen: Seen[] = []
  const run = async (context: BuildContext<{ text: string; from: [] }>): Promise<void> => {
    const text = await textOf(context)
    const carried = await context.carry('place', async (folder) => {
      const file = join(folder, 'seen')
      const before = existsSync(file) ? readFileSync(file, 'utf8') : ''
      writeFileSync(file, before + text)
      return before
    })
    const memo = (await context.memo.get('key'))?.toString() ?? ''
    await context.memo.put('key', Buffer.from(memo + text))
    seen.push({ carried, memo })
    await writeFile(join(context.out, 'text'), text)
  }
  const module = 'module.ts'
  if (!existsSync(join(r.cwd, module))) r.write(module, 'export {}')
  const stage = r.stage('keeping', { module, tools: ['sh'], ...wish, run: run as never })
  const build = async (
    text: string,
    options: Parameters<Rig['build']>[1] = {},
  ): Promise<Seen | undefined> => {
    const { error } = await r.build(stage({ text }), options)
    assert.equal(error, undefined)
    return seen.pop()
  }
  return build
}

test('a stage finds what its earlier runs left, whatever they worked on', async (t) => {
  const build = keeping(await rig(t))
  assert.deepEqual(await build('a'), { carried: '', memo: '' })
  assert.deepEqual(await build('b'), { carried: 'a', memo: 'a' })
  assert.deepEqual(await build('c'), { carried: 'ab', memo: 'ab' })
})

test('no carried folder is seen by other code or other programs of the stage', async (t) => {
  const r = await rig(t)
  await keeping(r)('a')
  r.write('module.ts', 'export const other = 1')
  assert.deepEqual(await keeping(r)('b'), { carried: '', memo: 'a' })
  assert.deepEqual(await keeping(r, { tools: ['sh', 'ls'] })('c'), { carried: '', memo: 'ab' })
  r.write('module.ts', 'export {}')
  assert.deepEqual(await keeping(r)('d'), { carried: 'a', memo: 'abc' }, 'and its own stays')
})

test('nothing is seen or kept with --no-cache, under another cache epoch, or by a fixed output', async (t) => {
  const r = await rig(t)
  const build = keeping(r)
  await build('a')
  const nothing = { carried: '', memo: '' }
  assert.deepEqual(await build('b', { noCache: true }), nothing)
  assert.deepEqual(await build('c', { noCache: new Set(['keeping']) }), nothing)
  assert.deepEqual(await build('d', { cacheEpoch: '2' }), nothing)
  assert.deepEqual(await keeping(r, { fixed: 'x' })('e'), nothing)
  assert.deepEqual(await build('f', { noCache: new Set(['other']) }), { carried: 'a', memo: 'a' })
})

test('--check compares a run that goes on from earlier ones with one from nothing', async (t) => {
  const r = await rig(t)
  const seen: string[] = []
  const run = async (context: BuildContext<{ text: string }>): Promise<void> => {
    const { text } = context.options
    const before = await context.carry('place', async (folder) => {
      const file = join(folder, 'seen')
      const known = existsSync(file)
      writeFileSync(file, '')
      return known ? 'went on' : 'began'
    })
    seen.push(before)
    await writeFile(join(context.out, 'text'), text === 'faulty' ? before : text)
  }
  const stage = r.stage('a', { run: run as never })
  assert.equal((await r.build(stage({ text: '1' }))).error, undefined)
  assert.equal((await r.build(stage({ text: '2' }), { check: true })).error, undefined)
  assert.deepEqual(seen.splice(0), ['began', 'went on', 'began'])
  assert.equal((await r.build(stage({ text: 'faulty' }), { check: true })).error?.code, 'E_NOT_REPRODUCIBLE')
})

test('a name is of a-z, 0-9 and -', async (t) => {
  const r = await rig(t)
  for (const name of ['', '../x', 'A', 'a'.repeat(65)]) {
    const stage = r.stage('a', { run: (context) => context.carry(name, async () => {}) })
    assert.equal((await r.build(stage({ text: name }))).error?.code, 'E_STAGE')
  }
})

test('a stage of any name has carried folders of its own', async (t) => {
  const r = await rig(t)
  const carried: string[] = []
  const run = (context: BuildContext<unknown>): Promise<void> =>
    context.carry('place', async (folder) => {
      carried.push(folder)
    })
  for (const name of ['a/b', 'a_b', '../../x', 'ü'.repeat(300)]) {
    const stage = r.stage(name, { run: run as never })
    assert.equal((await r.build(stage({ text: '' }))).error, undefined, name)
  }
  assert.equal(new Set(carried).size, 4)
  const below = dirname(dirname(carried[0]!))
  assert.ok(carried.every((folder) => dirname(dirname(folder)) === below))
})
