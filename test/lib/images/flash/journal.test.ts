/** Journals of cards that seem the same one do not mix. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { journalNames } from '../../../../lib/images/cards/journal-names.ts'
import { Journal } from '../../../../lib/images/flash/journal.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-journal-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const path = (name: string): string => join(folder, name)
const digest = 'a'.repeat(64)

test('what one call has noted, the next one of the same work goes on with, and no other', async () => {
  const first = await Journal.open(path('a'), 'work')
  await first.add('written', [[3, digest]])
  await first.close()
  const next = await Journal.open(path('a'), 'work')
  assert.deepEqual([next.id, [...next.cells]], [first.id, [[3, { state: 'written', digest }]]])
  await next.close()
  const other = await Journal.open(path('a'), 'other work')
  assert.notEqual(other.id, first.id)
  assert.equal(other.cells.size, 0)
  await other.remove()
  await other.close()
})

for (const [when, together] of [
  ['at the same time', true],
  ['one after the other', false],
] as const) {
  test(`two that begin ${when} under one name are of two cards`, async () => {
    const open = (): Promise<Journal> => Journal.open(path(`b${together}`), 'work')
    const first = open()
    if (!together) await first
    const [one, two] = await Promise.all([first, open()])
    assert.notEqual(one.id, two.id)
    await one.add('verified', [[1, digest]])
    await two.add('verified', [[2, digest]])
    await Promise.all([one.close(), two.close()])
    const left = await Journal.open(path(`b${together}`), 'work')
    assert.deepEqual([...left.cells.keys()], [left.id === one.id ? 1 : 2])
    await left.remove()
    await left.close()
  })
}

test('who has written its card does not take away what another one goes on with', async () => {
  const one = await Journal.open(path('c'), 'work')
  const two = await Journal.open(path('c'), 'work')
  await two.add('verified', [[2, digest]])
  await one.remove()
  await Promise.all([one.close(), two.close()])
  const left = await Journal.open(path('c'), 'work')
  assert.equal(left.id, two.id)
  await left.remove()
  await left.close()
  assert.deepEqual(readdirSync(folder), [])
})

test('cards in readers of the same number have journals of their own, the first one always the same', () => {
  const identity = (key: string) => ({ key, starts: [0], disk: '/dev/sdx', state: async () => undefined })
  const cards = ['reader', 'other', 'reader', 'reader'].map((key) => ({ identity: identity(key), infos: [] }))
  const names = journalNames(cards)
  assert.equal(new Set(names).size, 4)
  assert.deepEqual(journalNames(cards.slice(0, 1)), names.slice(0, 1))
})
