import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Digest, Key } from '../../../lib/engine/stage.ts'
import type { Hit, Substituter } from '../../../lib/engine/substituter.ts'
import { Gate, type Rig, rig } from '../../helpers/engine.ts'

/** A cache that has the text `held` for the keys in `known`. */
function cache(known: Set<Key> | 'all', held: string, digest: Digest, more: Partial<Hit> = {}) {
  const asked: Key[] = []
  const substituter: Substituter = {
    name: 'cache.example',
    lookup: async (key) => {
      asked.push(key)
      if (known !== 'all' && !known.has(key)) return undefined
      return {
        digest,
        name: 'a',
        origin: 'cache.example (signed by main-1)',
        apply: async (workspace, _signal, progress) => {
          progress?.(held.length)
          writeFileSync(join(workspace.out, 'text'), held)
        },
        ...more,
      }
    },
  }
  return { asked, substituter }
}

/** The digest that an object with this text has. */
async function digestOf(r: Rig, text: string): Promise<Digest> {
  await r.build({ digest: r.stage('digest')({ text }) })
  const [root] = r.store.roots()
  r.store.removeRoot(root!.name)
  await r.evict()
  return root!.digests[0]!
}

test('a hit spares the stage and the making of its inputs', async (t) => {
  const r = await rig(t)
  const digest = await digestOf(r, 'held')
  const a = r.stage('a')
  const b = r.stage('b')
  const root = () => b({ from: [a({ text: 'x' })], text: 'held' })
  await r.build({ inputs: a({ text: 'x' }) })
  for (const { name } of r.store.roots()) r.store.removeRoot(name)
  await r.evict()
  const { substituter } = cache('all', 'held', digest)
  const { lines, artifacts, error } = await r.build(root(), { substituters: [substituter] })
  assert.equal(error, undefined)
  assert.deepEqual(lines, [
    'a cached it was built before with the same inputs',
    'b substituted it was found in cache.example (signed by main-1)',
  ])
  assert.equal(readFileSync(artifacts[0]!.path, 'utf8'), 'held')
  assert.deepEqual([a.runs, b.runs], [1, 0])
  const second = await r.build(root())
  assert.deepEqual(second.lines, ['a cached nothing changed', 'b cached nothing changed'])
  assert.deepEqual((await r.store.verify()).problems, [])
})

test('it is asked by definition key, then by key; a miss builds; what is known here is not asked for', async (t) => {
  const r = await rig(t)
  const a = r.stage('a')
  const { substituter, asked } = cache(new Set(), '', '' as Digest)
  const b = r.stage('b')
  const root = () => b({ from: [a({ text: 'x' })] })
  assert.equal((await r.build(root(), { substituters: [substituter] })).lines.length, 2)
  // Without inputs, the two keys of `a` are the same.
  assert.equal(asked.length, 4)
  assert.equal(new Set(asked).size, 3)
  await r.build(root(), { substituters: [substituter] })
  assert.equal(asked.length, 4)
  await r.build(root(), { substituters: [substituter], noCache: true })
  assert.equal(asked.length, 4, '--no-cache asks nobody')
})

const failing: [title: string, more: Partial<Substituter & Hit>, warning: RegExp][] = [
  [
    'one that gives other bytes than promised',
    { digest: 'f'.repeat(64) as Digest },
    /cache\.example \(signed by main-1\) gave other bytes than it had promised/,
  ],
  [
    'one that fails in the middle',
    { apply: () => Promise.reject(new Error('reset by peer')) },
    /reset by peer/,
  ],
  ['one that cannot be asked', { lookup: () => Promise.reject(new Error('no route')) }, /no route/],
]
for (const [title, { lookup, ...more }, warning] of failing) {
  test(`${title} fails no build and leaves nothing that counts as a result`, async (t) => {
    const r = await rig(t)
    const { substituter } = cache('all', 'poison', 'f'.repeat(64) as Digest, more)
    if (lookup) substituter.lookup = lookup
    let refuse = true
    const a = r.stage('a', {
      run: async ({ out }) => {
        if (refuse) throw new Error('not today')
        writeFileSync(join(out, 'text'), 'right')
      },
    })
    const failed = await r.build(a(), { substituters: [substituter] })
    assert.equal(failed.error?.message, 'a: not today')
    const warnings = failed.events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
    assert.equal(warnings.length, 1)
    assert.match(warnings[0]!, warning)
    refuse = false
    const { lines, artifacts } = await r.build(a(), { substituters: [substituter] })
    assert.deepEqual(lines, ['a built it was never built before'])
    assert.equal(readFileSync(artifacts[0]!.path, 'utf8'), 'right')
  })
}

test('the next one is asked when the first has nothing', async (t) => {
  const r = await rig(t)
  const digest = await digestOf(r, 'held')
  const [first, second] = [cache(new Set(), '', digest), cache('all', 'held', digest)]
  const substituters = [first.substituter, second.substituter]
  const { lines } = await r.build(r.stage('a')(), { substituters })
  assert.match(lines[0]!, /^a substituted /)
})

test('Ctrl-C during a download ends the build', async (t) => {
  const r = await rig(t)
  const controller = new AbortController()
  const gate = new Gate()
  const apply = async (): Promise<void> => {
    controller.abort()
    await gate.pass()
    throw new Error('aborted')
  }
  gate.open()
  const { substituter } = cache('all', '', 'f'.repeat(64) as Digest, { apply })
  const a = r.stage('a')
  const { error } = await r.build(a(), { substituters: [substituter], signal: controller.signal })
  assert.equal(error?.code, 'E_INTERRUPTED')
  assert.equal(a.runs, 0)
})
