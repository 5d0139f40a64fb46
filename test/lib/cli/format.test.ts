import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatBytes, formatDuration, parseAge, parseSize } from '../../../lib/cli/format.ts'

const rows: [title: string, actual: unknown, expected: unknown][] = [
  ['bytes below a KiB are whole', formatBytes(1023), '1023 B'],
  ['a KiB is 1024 bytes', formatBytes(1024), '1.0 KiB'],
  ['large numbers lose their decimals', formatBytes(512 * 2 ** 20), '512 MiB'],
  ['less than a second is in ms', formatDuration(41.7), '42 ms'],
  ['less than a minute has a decimal', formatDuration(12_340), '12.3 s'],
  ['minutes have two digits of seconds', formatDuration(125_000), '2 min 05 s'],
  ['a size may have a unit', parseSize('20G'), 20 * 2 ** 30],
  ['a size may have a long unit', parseSize('1.5MiB'), 1.5 * 2 ** 20],
  ['a size may be bare', parseSize('512'), 512],
  ['a word is no size', parseSize('much'), undefined],
  ['an age in days', parseAge('30d'), 30 * 86_400_000],
  ['an age needs a unit', parseAge('30'), undefined],
]
for (const [title, actual, expected] of rows) test(title, () => assert.equal(actual, expected))
