/** What a manager reads of servers that are set up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resourceLines, serverLine } from '../../../../lib/cli/renderers/server-lines.ts'

const server = 'root@one'
const change = { type: 'resource', server, resource: 'file /etc/motd', because: 'it is missing' } as const

test('a resource is a line, and what differs stands below it', () => {
  assert.deepEqual(resourceLines({ ...change, action: 'planned', lines: ['@@ -0,0 +1 @@', '+hello'] }), [
    'root@one     would change     file /etc/motd: it is missing',
    '             @@ -0,0 +1 @@',
    '             +hello',
  ])
})

test('a change says how long it took', () => {
  assert.deepEqual(resourceLines({ ...change, action: 'changed', ms: 1234 }), [
    'root@one     changed in 1.2 s file /etc/motd: it is missing',
  ])
})

test('a change of a file is shown, and not all of a new one', () => {
  const changed = { ...change, action: 'changed', ms: 1234 } as const
  assert.equal(resourceLines({ ...changed, lines: ['@@ -1 +1 @@', '-a', '+b'] }).length, 4)
  assert.equal(resourceLines({ ...changed, lines: ['@@ -0,0 +1 @@', '+b'] }).length, 1)
})

test('of a long difference the beginning is shown', () => {
  const lines = Array.from({ length: 100 }, (_, at) => `+${at}`)
  const shown = resourceLines({ ...change, action: 'planned', lines })
  assert.equal(shown.length, 42)
  assert.equal(shown.at(-1), '             … and 60 more lines (--json has all)')
})

for (const [title, differ, plan, line] of [
  ['without a change', 0, false, 'root@one     no change: all 20 resources are as they should be, 500 ms'],
  ['with changes', 3, false, 'root@one     changed 3 of 20 resources, 500 ms'],
  ['with a plan', 3, true, 'root@one     would change 3 of 20 resources, 500 ms'],
] as const) {
  test(`a server ${title} is one line`, () => {
    assert.equal(serverLine({ type: 'server', server, plan, resources: 20, differ, ms: 500 }), line)
  })
}
