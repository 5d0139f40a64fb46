import assert from 'node:assert/strict'
import { test } from 'node:test'
import { because } from '../../../lib/engine/explain.ts'
import type { Manifest } from '../../../lib/engine/manifest.ts'

const a = 'a'.repeat(64)
const b = 'b'.repeat(64)

const rows: [title: string, before: Manifest | undefined, after: Manifest, line: string][] = [
  ['a first build says so', undefined, {}, 'it was never built before'],
  ['equal manifests say so', { stage: 'x' }, { stage: 'x' }, 'nothing changed'],
  [
    'a changed file is named with both sums',
    { 'source.overlays/part_2/etc/motd': `file 644 ${a}` },
    { 'source.overlays/part_2/etc/motd': `file 644 ${b}` },
    'overlays/part_2/etc/motd changed (aaaa -> bbbb)',
  ],
  [
    'a file with a line break in its name stays on one line',
    { 'source.a\nb': `file 644 ${a}` },
    { 'source.a\nb': `file 644 ${b}` },
    '"a\\nb" changed (aaaa -> bbbb)',
  ],
  ['a new file was added', {}, { 'source.a': `file 644 ${a}` }, 'a was added'],
  ['a file that is gone was removed', { 'source.a': `file 644 ${a}` }, {}, 'a was removed'],
  [
    'a new mode is told as such',
    { 'source.a': `file 644 ${a}` },
    { 'source.a': `file 755 ${a}` },
    'a changed (mode 644 -> 755)',
  ],
  [
    'a file that became a link is told as such',
    { 'source.a': `file 644 ${a}` },
    { 'source.a': 'symlink /b' },
    'a changed (file -> symlink)',
  ],
  [
    'a link that points elsewhere is told as such',
    { 'source.a': 'symlink b' },
    { 'source.a': 'symlink c' },
    'a changed (b -> c)',
  ],
  [
    'an option shows both values',
    { 'option.os': '"Debian"' },
    { 'option.os': '"Ubuntu"' },
    'option os "Debian" -> "Ubuntu"',
  ],
  ['an input is named by its label', { 'input.image': a }, { 'input.image': b }, 'its input image changed'],
  [
    'a program shows its versions',
    { 'tool.xz': `5.4.1 ${a}` },
    { 'tool.xz': `5.6.0 ${b}` },
    'program xz 5.4.1 -> 5.6.0',
  ],
  [
    'a rebuilt program of one version says so',
    { 'tool.xz': `5.4.1 ${a}` },
    { 'tool.xz': `5.4.1 ${b}` },
    'program xz changed within version 5.4.1',
  ],
  [
    'a package shows its versions',
    { 'package.zx': '8.1.0' },
    { 'package.zx': '8.2.0' },
    'package zx 8.1.0 -> 8.2.0',
  ],
  [
    'a linked package that was edited says so',
    { 'package.mine': `1.0.0 ${a}` },
    { 'package.mine': `1.0.0 ${b}` },
    'package mine changed within version 1.0.0',
  ],
  [
    'edits come before their consequences and the rest is counted',
    { 'code.lib/a.ts': a, 'input.image': a, 'option.os': '1', 'source.z': `file 644 ${a}` },
    { 'code.lib/a.ts': b, 'input.image': b, 'option.os': '2', 'source.z': `file 644 ${b}` },
    'z changed (aaaa -> bbbb), option os 1 -> 2, +2 more',
  ],
]

for (const [title, before, after, line] of rows) {
  test(title, () => assert.equal(because(before, after), line))
}
