import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { DeployContext, Deployed } from '../../../lib/engine/stage.ts'
import { type Rig, rig, type TestStage, textOf } from '../../helpers/engine.ts'

const handle = await open(import.meta.filename)
const FileHandle = Object.getPrototypeOf(handle)
await handle.close()

/** A stage that puts the text of its inputs into two files of the project. */
function deployStage(r: Rig, identity = () => 'certificate 1'): TestStage {
  const apply = async (context: DeployContext<Parameters<TestStage>[0] & object>): Promise<Deployed[]> => {
    const text = await textOf(context as unknown as Parameters<typeof textOf>[0])
    mkdirSync(join(context.cwd, 'out'), { recursive: true })
    return ['one', 'two'].map((name) => {
      writeFileSync(join(context.cwd, 'out', name), text)
      return { path: `out/${name}`, sha256: createHash('sha256').update(text).digest('hex'), kind: name }
    })
  }
  return r.stage('put', { identity, apply: apply as never })
}

test('what is deployed is applied once, then left alone', async (t) => {
  const r = await rig(t)
  const a = r.stage('a')
  const put = deployStage(r)
  const root = () => put({ from: [a({ text: 'x' })] })
  const first = await r.build(root())
  assert.deepEqual(first.lines, [
    'a built it was never built before',
    'put applied it was never built before',
  ])
  const sha256 = createHash('sha256').update('x').digest('hex')
  const expected = ['one', 'two'].map((kind) => ({ path: join(r.cwd, 'out', kind), sha256, kind }))
  assert.deepEqual(first.artifacts, expected)
  const second = await r.build(root())
  assert.deepEqual(second.lines, ['a cached nothing changed', 'put unchanged nothing changed'])
  assert.deepEqual(second.artifacts, expected, 'unchanged artifacts are told as well')
  assert.equal(put.runs, 1)
})

test('what can change unseen is applied each time', async (t) => {
  const r = await rig(t)
  const put = r.stage('put', { always: true, apply: async () => [] })
  const root = () => put({ from: [r.stage('a')({ text: 'x' })] })
  await r.build(root())
  const { lines } = await r.build(root())
  assert.deepEqual(lines, ['a cached nothing changed', 'put applied what it writes can change unseen'])
  assert.equal(put.runs, 2)
})

test('with nothing to do nothing is written into the store, but for the time after some hours', async (t) => {
  const r = await rig(t)
  const root = deployStage(r)({ from: [r.stage('a')({ text: 'x' })] })
  await r.build(root)
  const written = () => statSync(join(r.store.folder, 'db.sqlite-wal')).size
  const last = () => r.store.previousRun(`${r.cwd} t`, 'a')!.at
  const [size, at] = [written(), last()]
  await r.build(root)
  assert.deepEqual([written(), last()], [size, at])
  t.mock.timers.enable({ apis: ['Date'], now: at + 3 * 60 * 60 * 1000 })
  await r.build(root)
  assert.equal(last(), Date.now())
})

test('what a stage has just written is not read again', async (t) => {
  const r = await rig(t)
  await r.build(deployStage(r)({ from: [r.stage('a')({ text: 'x' })] }))
  t.mock.method(FileHandle, 'read', () => assert.fail('it was read'))
  const sha256 = createHash('sha256').update('x').digest('hex')
  for (const name of ['one', 'two']) assert.equal(await r.store.sha256(join(r.cwd, 'out', name)), sha256)
})

describe('it is put back when', () => {
  const damages: [title: string, damage: (cwd: string) => void, because: string][] = [
    ['a file is missing', (cwd) => rmSync(join(cwd, 'out/two')), 'out/two is missing'],
    ['all are missing', (cwd) => rmSync(join(cwd, 'out'), { recursive: true }), 'out/one is missing'],
    ['a file was changed', (cwd) => writeFileSync(join(cwd, 'out/two'), 'y'), 'out/two was changed'],
    [
      'a folder is in its place',
      (cwd) => {
        rmSync(join(cwd, 'out/one'))
        mkdirSync(join(cwd, 'out/one'))
      },
      'out/one is missing',
    ],
  ]
  for (const [title, damage, because] of damages) {
    test(title, async (t) => {
      const r = await rig(t)
      const put = deployStage(r)
      const a = r.stage('a')
      await r.build(put({ from: [a({ text: 'x' })] }))
      damage(r.cwd)
      const { lines, error } = await r.build(put({ from: [a({ text: 'x' })] }))
      if (title.startsWith('a folder'))
        assert.equal(error?.code, 'E_IO', 'its stage decides what to do about it')
      else {
        assert.deepEqual(lines, ['a cached nothing changed', `put applied ${because}`])
        assert.equal(readFileSync(join(r.cwd, 'out/two'), 'utf8'), 'x')
      }
    })
  }
})

test('an evicted input is made again to put a file back, and only then', async (t) => {
  const r = await rig(t)
  const a = r.stage('a')
  const put = deployStage(r)
  const root = () => put({ from: [a({ text: 'x' })] })
  await r.build(root())
  for (const { name } of r.store.roots()) r.store.removeRoot(name)
  assert.deepEqual(await r.evict(), ['a'])
  assert.deepEqual((await r.build(root())).lines, [
    'a cached nothing changed',
    'put unchanged nothing changed',
  ])
  rmSync(join(r.cwd, 'out/one'))
  const { lines } = await r.build(root())
  assert.match(lines[0]!, /^a built its result was evicted on \d{4}-\d\d-\d\d \(unrooted\)$/)
  assert.deepEqual(lines.slice(1), ['put applied out/one is missing'])
})

test('its inputs are kept from gc', async (t) => {
  const r = await rig(t)
  const put = deployStage(r)
  await r.build(put({ from: [r.stage('a')({ text: 'x' })] }))
  assert.deepEqual(await r.evict(), [])
})

test('another certificate is a reason', async (t) => {
  const r = await rig(t)
  let certificate = '1'
  const put = deployStage(r, () => certificate)
  await r.build(put())
  certificate = '2'
  assert.deepEqual((await r.build(put())).lines, ['put applied the signing certificate changed'])
})

test('it is applied again on demand', async (t) => {
  const r = await rig(t)
  const put = deployStage(r)
  await r.build(put())
  assert.deepEqual((await r.build(put(), { noCache: new Set(['put']) })).lines, ['put applied --no-cache'])
})

test('another folder is told as such', async (t) => {
  const r = await rig(t)
  const put = deployStage(r)
  await r.build(put())
  const elsewhere = join(r.cwd, 'elsewhere')
  mkdirSync(elsewhere)
  const { lines } = await r.build(put(), { cwd: elsewhere })
  assert.deepEqual(lines, [`put applied it was never applied in ${elsewhere}`])
  assert.deepEqual((await r.build(put())).lines, ['put unchanged nothing changed'])
})

test('what failed is tried again, and nothing of it is kept in a log', async (t) => {
  const r = await rig(t)
  let fails = true
  const put = r.stage('put', {
    apply: async ({ log, run }) => {
      log('the key is 1234')
      if (fails) await run('sh', ['-c', 'echo "no room" >&2; exit 1'])
      return []
    },
  })
  const { error, events } = await r.build(put())
  assert.match(error?.message ?? '', /exit code 1:\nno room$/)
  const [failed] = events.filter((event) => event.type === 'failed')
  assert.deepEqual([failed?.stage, failed?.log], ['put', undefined])
  fails = false
  assert.deepEqual((await r.build(put())).lines, ['put applied it was never built before'])
})
