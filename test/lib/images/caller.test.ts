import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { link, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { callerOf, configFolder, settle } from '../../../lib/images/caller.ts'

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

test('a link in the place of a file that was made is not followed', { skip: notRoot }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetsie-caller-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const secret = join(folder, 'secret')
  await writeFile(secret, '', { mode: 0o600 })
  await symlink(secret, join(folder, 'link'))
  await link(secret, join(folder, 'hard'))
  const caller = { uid: Number(daemon[2]), gid: Number(daemon[3]) }
  for (const name of ['link', 'hard']) {
    await assert.rejects(settle(join(folder, name), 0o644, caller), { code: 'E_UNSAFE' })
  }
  const { mode, uid } = await stat(secret)
  assert.deepEqual([mode & 0o777, uid], [0o600, 0])
  await writeFile(join(folder, 'own'), '')
  await settle(join(folder, 'own'), 0o640, caller)
  const own = await stat(join(folder, 'own'))
  assert.deepEqual([own.mode & 0o777, own.uid, own.gid], [0o640, caller.uid, caller.gid])
})

test('XDG_CONFIG_HOME counts if it is absolute, as its specification says', async () => {
  assert.equal(await configFolder({ XDG_CONFIG_HOME: '/x/y', HOME: '/home/a' }), '/x/y/fleetsie')
  assert.equal(await configFolder({ XDG_CONFIG_HOME: 'y', HOME: '/home/a' }), '/home/a/.config/fleetsie')
})
