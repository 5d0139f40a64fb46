import assert from 'node:assert/strict'
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { commandLine } from '../../../lib/cli/command-line.ts'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'fleetsie-test-')))
after(() => rmSync(folder, { recursive: true }))
const script = join(folder, 'pipeline.ts')
writeFileSync(script, '')

const rows: [title: string, argv: string[], args: string[]][] = [
  ['under node', ['/usr/bin/node', script, 'build', '--check'], ['build', '--check']],
  ['under zx from a bin folder', ['/usr/bin/node', '/x/node_modules/.bin/zx', script, 'build'], ['build']],
  ['under zx by its file', ['/usr/bin/node', '/x/node_modules/zx/build/cli.js', script, 'gc'], ['gc']],
  [
    'under zx with options of its own',
    ['/usr/bin/node', '/x/zx', '--quiet', script, 'build', 'a'],
    ['build', 'a'],
  ],
  ['without a verb', ['/usr/bin/node', script], []],
]
for (const [title, argv, args] of rows) {
  test(`${title}, what follows the script are its arguments`, () => {
    assert.deepEqual(commandLine(argv), { script, args })
  })
}
