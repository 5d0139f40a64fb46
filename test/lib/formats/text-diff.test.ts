import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { textDiff } from '../../../lib/formats/text-diff.ts'
import { Random } from '../../helpers/random.ts'

/** What patch makes of `before`, which is the judge: diff may choose other lines that are as few. */
function patched(folder: string, before: string, lines: string[]): string {
  writeFileSync(join(folder, 'file'), before)
  const patch = `--- file\n+++ file\n${lines.join('\n')}\n`
  const { status, stdout, stderr } = spawnSync('patch', ['-s', '-o', '-', 'file'], {
    cwd: folder,
    input: patch,
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr + patch)
  return stdout
}

test('equal texts have no difference', () => assert.deepEqual(textDiff('a\nb', 'a\nb'), []))

test('a hunk has three lines around what differs', () => {
  const before = Array.from({ length: 20 }, (_, i) => `${i}\n`).join('')
  assert.deepEqual(textDiff(before, before.replace('9\n', 'nine\n').replace('19nine', '19')), [
    '@@ -7,7 +7,7 @@',
    ' 6',
    ' 7',
    ' 8',
    '-9',
    '+nine',
    ' 10',
    ' 11',
    ' 12',
  ])
})

test('patch makes the second text of the first, with as few lines as diff needs', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-text-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const random = new Random('texts')
  for (let round = 0; round < 40; round++) {
    const text = (): string => {
      const lines = Array.from({ length: random.int(0, 30) }, () => `${random.int(0, 5)}`)
      return lines.join('\n') + (random.chance(0.75) && lines.length ? '\n' : '')
    }
    const [before, after] = [text(), text()]
    const lines = textDiff(before, after)
    if (before === after) continue
    if (before !== '' && after !== '') assert.equal(patched(folder, before, lines), after)
    for (const [name, content] of [
      ['a', before],
      ['b', after],
    ] as const)
      writeFileSync(join(folder, name), content)
    const judge = spawnSync('diff', ['-d', '-U3', 'a', 'b'], { cwd: folder, encoding: 'utf8' })
      .stdout.split('\n')
      .slice(2)
    const edits = (of: string[]): number => of.filter((line) => /^[-+]/.test(line)).length
    assert.ok(edits(lines) <= edits(judge), `${JSON.stringify([before, after])}`)
  }
})
