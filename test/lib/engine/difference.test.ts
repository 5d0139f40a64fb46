import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { firstDifference } from '../../../lib/engine/difference.ts'

const large = Buffer.alloc(3 * 1024 * 1024 + 5, 7)
const changed = Buffer.from(large)
changed[2 * 1024 * 1024 + 3] = 8

type Make = (folder: string) => void
const rows: [title: string, first: Make, second: Make, expected: RegExp | undefined][] = [
  ['equal folders do not differ', file('a', 'x'), file('a', 'x'), undefined],
  ['a missing file is named', file('a', 'x'), () => {}, /^a is missing in the second build$/],
  ['a further file is named', () => {}, file('sub/b', 'x'), /^sub is only in the second build$/],
  [
    'the offset of the first other byte is told',
    file('a', 'abcd'),
    file('a', 'abXX'),
    /^a: .*byte is at 2 \(sizes 4 and 4\)$/,
  ],
  [
    'a shorter file differs where it ends',
    file('a', 'abcd'),
    file('a', 'ab'),
    /^a: .*at 2 \(sizes 4 and 2\)$/,
  ],
  ['large files are compared piece by piece', file('a', large), file('a', changed), /at 2097155 /],
  ['equal large files do not differ', file('a', large), file('a', large), undefined],
  ['another link target is told', link('a', 'x'), link('a', 'y'), /^a: it links to x, then to y$/],
  ['another kind is told', link('a', 'x'), file('a', 'x'), /^a: it is of another kind$/],
  [
    'an executable bit is told',
    file('a', 'x'),
    (folder) => {
      file('a', 'x')(folder)
      chmodSync(join(folder, 'a'), 0o755)
    },
    /^a: only one of them is executable$/,
  ],
]

for (const [title, first, second, expected] of rows) {
  test(title, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'fleetsie-test-'))
    t.after(() => rmSync(folder, { recursive: true }))
    for (const [name, make] of [
      ['first', first],
      ['second', second],
    ] as const) {
      mkdirSync(join(folder, name))
      make(join(folder, name))
    }
    const difference = await firstDifference(join(folder, 'first'), join(folder, 'second'))
    if (expected) assert.match(difference ?? '', expected)
    else assert.equal(difference, undefined)
  })
}

function file(name: string, content: string | Buffer): Make {
  return (folder) => {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), content, { mode: 0o644 })
  }
}

function link(name: string, target: string): Make {
  return (folder) => symlinkSync(target, join(folder, name))
}
