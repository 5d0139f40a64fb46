import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { formatSums, parseSums } from '../../../lib/formats/sums.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-sums-'))
after(() => rmSync(folder, { recursive: true }))

const names = [
  'plain',
  ' leading',
  '*star',
  'a\nb',
  'a\rb',
  'a\\b',
  'a\\nb',
  '\\',
  '-dash',
  'ü "quoted"',
  '$(x)',
]
const sums = names.map((name) => ({ name, sha256: createHash('sha256').update(name).digest('hex') }))

test('sha256sum accepts what is written for names of every kind, and notices a changed file', () => {
  for (const name of names) writeFileSync(join(folder, name), name)
  writeFileSync(join(folder, 'SUMS'), formatSums(sums))
  const check = () =>
    execFileSync('sha256sum', ['--check', '--strict', 'SUMS'], { cwd: folder, stdio: 'pipe' })
  check()
  writeFileSync(join(folder, 'plain'), 'other')
  assert.throws(check)
  writeFileSync(join(folder, 'plain'), 'plain')
})

test('what sha256sum writes is read, in text and in binary mode', () => {
  const expected = parseSums(formatSums(sums))
  for (const mode of ['--text', '--binary']) {
    const written = execFileSync('sha256sum', [mode, '--', ...expected.map(({ name }) => name)], {
      cwd: folder,
    })
    assert.deepEqual(parseSums(written.toString()), expected)
  }
})

test('the order of the input does not matter', () => {
  assert.equal(formatSums([...sums].reverse()), formatSums(sums))
})

const digest = 'a'.repeat(64)
const broken = [
  ['a short digest', `${'a'.repeat(63)}  name\n`, 'line 1'],
  ['no name', `${digest}  \n`, 'line 1'],
  ['a single blank', `${digest} name\n`, 'line 1'],
  ['an unknown escape', `\\${digest}  a\\tb\n`, 'line 1'],
  ['a backslash at the end of an escaped name', `\\${digest}  a\\\n`, 'line 1'],
  ['an empty line between two', `${digest}  a\n\n${digest}  b\n`, 'line 2'],
  ['one name twice', `${digest}  a\n${digest}  a\n`, 'line 2'],
  ['a NUL in a name', `${digest}  a\0b\n`, 'line 1'],
] as const
for (const [title, text, place] of broken) {
  test(`refuses ${title}`, () => {
    assert.throws(
      () => parseSums(text),
      (error: { code: string; message: string }) => {
        assert.equal(error.code, 'E_DAMAGED')
        assert.ok(error.message.includes(place), error.message)
        return true
      },
    )
  })
}
