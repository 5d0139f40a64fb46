/** Words for a shell, judged by sh. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { shellQuoted, shellWord } from '../../../lib/formats/shell.ts'

const words = [
  '',
  ' ',
  "it's",
  "'",
  "''",
  '$(id)',
  '`id`',
  'a\nb',
  '\\',
  '*',
  '~',
  'a;b',
  '-n',
  'ä🚀',
  '"q"',
  '!x',
  '#',
]

test('sh takes every word for what it was', () => {
  for (const quote of [shellQuoted, shellWord]) {
    const script = `for word in ${words.map(quote).join(' ')}; do printf '%s\\0' "$word"; done`
    assert.deepEqual(execFileSync('sh', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1), words)
  }
})

test('a word that needs no quotes has none, for those who read it', () => {
  const plain = ['out/a_b.img.xz', 'https://example.org:80/x', 'if=/dev/zero', 'user@host', '50%', 'a,b+c']
  assert.deepEqual(plain.map(shellWord), plain)
})
