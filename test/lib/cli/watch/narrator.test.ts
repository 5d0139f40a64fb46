import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Narrator } from '../../../../lib/cli/watch/narrator.ts'
import type { Artifact, BuildEvent } from '../../../../lib/engine/events.ts'

function narrator() {
  const told: BuildEvent[] = []
  return { told, narrator: new Narrator((event) => told.push(event), '/project') }
}

const edits = (...names: string[]) => ({
  paths: names.map((name) => `/project/${name}`),
  more: 0,
  at: performance.now(),
})
const stage = (because: string, action: 'built' | 'cached' = 'built'): BuildEvent => ({
  type: 'stage',
  target: 't',
  stage: 's',
  action,
  because,
  ms: 1,
})
const image = (sha256: string): Artifact => ({ path: '/project/out/a', sha256, kind: 'image' })
const types = (events: readonly BuildEvent[]): string[] => events.map(({ type }) => type)

test('the first build is told in full', () => {
  const { told, narrator: teller } = narrator()
  teller.event(stage('nothing changed', 'cached'))
  teller.done(0, 'built', [image('1')])
  assert.deepEqual(types(told), ['stage', 'ready'])
})

test('an edit is told of by what it makes run, and stages without a change are left out', () => {
  const { told, narrator: teller } = narrator()
  teller.done(0, 'built', [image('1')])
  told.length = 0
  teller.begins(1, edits('b', 'a', 'd', 'c'))
  assert.deepEqual(told, [])
  teller.event(stage('nothing changed', 'cached'))
  assert.deepEqual(told, [])
  teller.event(stage('a changed'))
  teller.done(1, 'built', [image('2'), { ...image('3'), path: '/project/out/b' }])
  assert.deepEqual(types(told), ['changed', 'stage', 'ready'])
  assert.deepEqual(told[0], { type: 'changed', paths: ['a', 'b', 'c'], more: 1 })
})

test('an edit that changes nothing is not told of, and only changed artifacts are named', () => {
  const { told, narrator: teller } = narrator()
  teller.done(0, 'built', [image('1')])
  teller.begins(1, edits('a'))
  teller.done(1, 'unchanged', [])
  teller.begins(2, edits('b'))
  teller.event(stage('b changed'))
  teller.done(2, 'same', [image('1')])
  assert.deepEqual(types(told), ['ready', 'ready', 'changed', 'stage', 'ready'])
  assert.deepEqual(told[2], { type: 'changed', paths: ['b'], more: 0 })
  assert.deepEqual((told[4] as { artifacts: Artifact[] }).artifacts, [])
})

test('edits whose build was cancelled unseen are named by the next; git is named only where no file is', () => {
  const { told, narrator: teller } = narrator()
  teller.begins(1, edits('a', '.git/index', '.git/index.lock'))
  teller.begins(2, edits('b'))
  teller.event(stage('a changed'))
  teller.done(2, 'built', [image('1')])
  teller.begins(3, edits('.git/index', '.git/index.lock'))
  teller.event(stage('c changed'))
  const changed = told.filter(({ type }) => type === 'changed')
  assert.deepEqual(changed, [
    { type: 'changed', paths: ['a', 'b'], more: 0 },
    { type: 'changed', paths: ['.git/index'], more: 0 },
  ])
})

test('a remark is made once, and again after a build without it', () => {
  const { told, narrator: teller } = narrator()
  const remark: BuildEvent = { type: 'note', message: '1 file is not tracked' }
  for (const said of [true, true, false, true]) {
    if (said) teller.event(remark)
    teller.done(0, 'same', [])
  }
  assert.equal(told.filter(({ type }) => type === 'note').length, 2)
})
