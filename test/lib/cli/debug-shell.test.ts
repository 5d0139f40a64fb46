import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkout } from '../../helpers/npm-project.ts'
import { temporaryFolder } from '../../helpers/store.ts'

const script = `
import { debugShell } from ${JSON.stringify(join(checkout, 'lib/cli/debug-shell.ts'))}
await Promise.all([debugShell(process.cwd()), debugShell(process.cwd())])
console.log('the stage fails')
`

function shells(cwd: string, SHELL: string): { stdout: string; stderr: string } {
  const loader = join(checkout, 'node_modules/tsx/dist/loader.mjs')
  const args = ['--import', loader, '--input-type=module', '-e', script]
  return spawnSync(process.execPath, args, { cwd, encoding: 'utf8', env: { ...process.env, SHELL } })
}

test('a shell that does not start is told, and the stage fails with its own error', (t) => {
  const { stdout, stderr } = shells(temporaryFolder(t), '/no/such/shell')
  assert.equal(stdout, 'the stage fails\n')
  assert.match(stderr, /The shell \/no\/such\/shell did not start: /)
})

test('stages that fail together get one shell at a time', (t) => {
  const folder = temporaryFolder(t)
  const shell = join(folder, 'shell')
  // Two at once would meet in the folder.
  writeFileSync(
    shell,
    '#!/bin/sh\nmkdir inside || exit 1\necho in >>log\nsleep 0.2\necho out >>log\nrmdir inside\n',
  )
  chmodSync(shell, 0o755)
  assert.equal(shells(folder, shell).stdout, 'the stage fails\n')
  assert.equal(readFileSync(join(folder, 'log'), 'utf8'), 'in\nout\nin\nout\n')
})
