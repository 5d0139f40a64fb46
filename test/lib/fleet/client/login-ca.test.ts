import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import { findPlace, knownFleets, rememberHost } from '../../../../lib/fleet/client/fleet-folder.ts'
import { ensureLoginCa, findLoginCa } from '../../../../lib/fleet/client/login-ca.ts'
import { operatorLogin } from '../../../../lib/fleet/client/operator-login.ts'
import { needs } from '../../../helpers/needs.ts'

const place = { fleet: 'barn', host: '192.0.2.1:2222' }

describe('the login CA of a fleet', { skip: needs('ssh-keygen') }, () => {
  let folder: string
  let env: { XDG_CONFIG_HOME: string }
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fleetsie-ca-'))
    env = { XDG_CONFIG_HOME: folder }
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('is told to be missing, with what to do, on a machine that has none', async () => {
    await assert.rejects(findLoginCa(runner({ home: folder }), env, place), {
      code: 'E_RIGHTS',
      hint: /copy this file.*0600/,
    })
  })

  test('is made once by several who want it at the same time, for its owner alone', async () => {
    const run = runner({ home: folder })
    const made = await Promise.all(Array.from({ length: 4 }, () => ensureLoginCa(run, env, place)))
    assert.equal(new Set(made.map(({ line }) => line)).size, 1)
    assert.match(
      made[0]!.line,
      /^cert-authority,principals="fleetsie" ssh-ed25519 [A-Za-z0-9+/]+=* barn login$/,
    )
    assert.equal((await stat(made[0]!.path)).mode & 0o777, 0o600)
    const home = join(folder, 'fleetsie/fleets/barn@192.0.2.1:2222')
    assert.deepEqual(await readdir(home), ['login_ca'])
    assert.equal((await stat(home)).mode & 0o777, 0o700)
    assert.deepEqual(await findLoginCa(run, env, place), made[0])
  })

  test('is not made anew where what a killed process left lies about, which goes', async () => {
    const run = runner({ home: folder })
    const other = { ...place, fleet: 'left' }
    const left = join(folder, 'fleetsie/fleets/left@192.0.2.1:2222/.fleetsie-999999999-00112233.part')
    await mkdir(left, { recursive: true })
    await writeFile(join(left, 'key'), 'half')
    const made = await ensureLoginCa(run, env, other)
    assert.deepEqual(await readdir(join(left, '..')), ['login_ca'])
    const before = await readFile(made.path)
    await ensureLoginCa(run, env, other)
    assert.deepEqual(await readFile(made.path), before)
  })

  test('is called damaged when the file holds something else', async () => {
    const run = runner({ home: folder })
    const { path } = await ensureLoginCa(run, env, { ...place, fleet: 'bad' })
    await chmod(path, 0o600)
    await writeFile(path, 'ssh-ed25519 AAAA')
    await assert.rejects(findLoginCa(run, env, { ...place, fleet: 'bad' }), { code: 'E_DAMAGED' })
  })
})

describe("an operator's login", { skip: needs('ssh-keygen') }, () => {
  let env: { XDG_CONFIG_HOME: string }
  before(async () => {
    env = { XDG_CONFIG_HOME: await mkdtemp(join(tmpdir(), 'fleetsie-login-')) }
  })
  after(() => rm(env.XDG_CONFIG_HOME, { recursive: true, force: true }))

  test('is a certificate of 8 hours for one key of this machine, signed anew by each of several at once', async () => {
    const run = runner({ home: env.XDG_CONFIG_HOME })
    const { line } = await ensureLoginCa(run, env, place)
    const made = await Promise.all([1, 2, 3].map(() => operatorLogin(run, env, place, line)))
    const { key, certificate } = made[0]!
    const told = (await run('ssh-keygen', ['-L', '-f', certificate])).stdout.toString()
    const [from, to] = /Valid: from (\S+) to (\S+)/
      .exec(told)!
      .slice(1)
      .map((time) => Date.parse(time))
    assert.equal(to! - from!, (8 * 60 + 5) * 60_000)
    const print = async (file: string) =>
      (await run('ssh-keygen', ['-l', '-f', file])).stdout.toString().split(' ')[1]
    assert.equal(await print(certificate), await print(key))
    assert.equal((await stat(key)).mode & 0o777, 0o600)
    const names = (await readdir(join(key, '..'))).sort()
    assert.deepEqual(names, ['login', 'login-cert.pub', 'login_ca'])
  })

  test('is refused before a device refuses it, where the devices trust another CA', async () => {
    const run = runner({ home: env.XDG_CONFIG_HOME })
    const other = await ensureLoginCa(run, env, { ...place, fleet: 'other' })
    await assert.rejects(operatorLogin(run, env, place, other.line), {
      code: 'E_VERIFY',
      hint: /copy the file/,
    })
  })
})

describe('the place of a fleet', () => {
  let env: { XDG_CONFIG_HOME: string }
  before(async () => {
    env = { XDG_CONFIG_HOME: await mkdtemp(join(tmpdir(), 'fleetsie-places-')) }
  })
  after(() => rm(env.XDG_CONFIG_HOME, { recursive: true, force: true }))

  test('is asked for until it was used once, and is the last one used then', async () => {
    await assert.rejects(findPlace(env, 'barn'), { code: 'E_USAGE', hint: /^barn@HOST/ })
    await rememberHost(env, { fleet: 'barn', host: 'old.example' })
    await rememberHost(env, { fleet: 'barn', host: 'new.example:2222' })
    assert.deepEqual(await findPlace(env, 'barn'), { fleet: 'barn', host: 'new.example:2222' })
    await assert.rejects(findPlace(env, 'bran'), { hint: /; known are barn@new\.example:2222$/ })
    assert.deepEqual(await findPlace(env, 'barn', 'a.example'), { fleet: 'barn', host: 'a.example' })
    assert.deepEqual(await findPlace(env, 'barn@[2001:db8::1]:22'), {
      fleet: 'barn',
      host: '[2001:db8::1]:22',
    })
    assert.deepEqual(await knownFleets(env), [{ fleet: 'barn', host: 'new.example:2222' }])
  })

  for (const bad of ['', 'a-b', 'a'.repeat(24), '../x', 'a@', 'a@../../etc', 'a@-oProxyCommand=x', 'a@b/c']) {
    test(`is refused for ${JSON.stringify(bad)}`, async () => {
      await assert.rejects(findPlace(env, bad), { code: 'E_INPUT' })
    })
  }
})
