import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '../../..')
const fleetsie = (...args: string[]) =>
  spawnSync(process.execPath, ['--import', 'tsx', join(root, 'lib/cli/bin.ts'), ...args], {
    encoding: 'utf8',
    cwd: root,
  })

for (const args of [
  ['install', '--help'],
  ['help', 'install'],
]) {
  test(`\`${args.join(' ')}\` lists the operating systems`, () => {
    const { status, stdout } = fleetsie(...args)
    assert.equal(status, 0)
    for (const os of ['Raspberry Pi OS', 'Debian', 'Ubuntu']) assert.match(stdout, new RegExp(`os .*'${os}'`))
  })
}

test('`help` of a verb that a stage shares its name with shows both', () => {
  assert.match(fleetsie('help', 'save').stdout, /Usage: fleetsie save[\s\S]*save: Applies layers/)
})

test('`help` of a verb is still that of the verb', () => {
  assert.match(fleetsie('help', 'gc').stdout, /Usage: fleetsie gc/)
})

test('help of something that is neither says so', () => {
  const { status, stderr, stdout } = fleetsie('nonsense', '--help')
  assert.match(stderr + stdout, /Usage: fleetsie|unknown command/)
  assert.ok(status !== null)
})
