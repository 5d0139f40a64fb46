import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { callerOf, configFolder } from '../../../lib/images/caller.ts'

const notRoot = process.geteuid?.() === 0 ? false : 'only root is anybody else by sudo'
const daemon = readFileSync('/etc/passwd', 'utf8')
  .split('\n')
  .find((line) => line.startsWith('daemon:'))!
  .split(':')

test('under sudo the keys are those of the caller', { skip: notRoot }, async () => {
  const env = { SUDO_UID: daemon[2]!, SUDO_GID: daemon[3]!, HOME: '/root' }
  assert.deepEqual(callerOf(env), { uid: Number(daemon[2]), gid: Number(daemon[3]) })
  assert.equal(await configFolder(env), `${daemon[5]}/.config/fleetsie`)
})

const nobody: [string, Record<string, string>][] = [
  ['no sudo', {}],
  ['root calling sudo', { SUDO_UID: '0', SUDO_GID: '0' }],
  ['a number that is none', { SUDO_UID: '1x', SUDO_GID: '1' }],
  ['half of it', { SUDO_UID: '1' }],
]
for (const [title, env] of nobody) {
  test(`${title} is nobody else`, () => assert.equal(callerOf(env), undefined))
}

test('XDG_CONFIG_HOME counts if it is absolute, as its specification says', async () => {
  assert.equal(await configFolder({ XDG_CONFIG_HOME: '/x/y', HOME: '/home/a' }), '/x/y/fleetsie')
  assert.equal(await configFolder({ XDG_CONFIG_HOME: 'y', HOME: '/home/a' }), '/home/a/.config/fleetsie')
})
