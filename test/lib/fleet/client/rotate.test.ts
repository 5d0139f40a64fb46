/** The order of a change of keys, and what comes of it when a part fails; the device's part by its own program. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { rotate } from '../../../../lib/fleet/client/rotate.ts'
import { newKey } from '../../../helpers/claims.ts'
import { needs } from '../../../helpers/needs.ts'

type Result = { code: number; stdout: string; stderr: string }
const done = (stdout = ''): Result => ({ code: 0, stdout, stderr: '' })
const failed = (code: number, stderr = 'no'): Result => ({ code, stdout: '', stderr })

/** A device and its server that do what they are told, but for what `faults` says. */
class Pair {
  readonly said: string[] = []
  readonly old = newKey()
  readonly fresh = newKey()
  current = this.old
  accepted = new Set([this.old])
  readonly controller = new AbortController()
  faults: Record<string, (times: number) => Result | undefined> = {}
  private times = 0

  device = async (step: string): Promise<Result> => {
    this.said.push(step)
    const fault = this.faults[step]?.(++this.times)
    if (fault) return fault
    switch (step) {
      case 'new':
        return done(`current ${this.old}\nnew ${this.fresh}\n`)
      case 'prove':
        return done(this.accepted.has(this.fresh) ? 'ok barn-1\n' : '')
      case 'switch':
        this.current = this.fresh
        return done('switched\n')
      default:
        return done(`current ${this.current}\n`)
    }
  }

  server = async (step: string, key: string) => {
    this.said.push(step)
    if (this.faults[step]?.(++this.times)) throw new Error('the server is away')
    if (step === 'add') this.accepted.add(key)
    if (step === 'cancel') this.accepted.delete(key)
    if (step === 'finish') this.accepted = new Set([key])
    return { hostname: 'barn-1', keys: this.accepted.size }
  }

  rotate(): Promise<{ key: string }> {
    const { device, server } = this
    return rotate('barn-1', { device, server, signal: this.controller.signal, patience: -59.9, every: 1 })
  }
}

describe('rotate', () => {
  let pair: Pair
  beforeEach(() => {
    pair = new Pair()
  })

  test('forgets the old key only when the device was reached with the new one', async () => {
    pair.faults['keep'] = (times) => (times < 6 ? failed(75) : undefined)
    assert.deepEqual(await pair.rotate(), { key: pair.fresh })
    const order = pair.said.filter((step, at) => step !== pair.said[at - 1])
    assert.deepEqual(order, ['new', 'add', 'prove', 'switch', 'keep', 'finish'])
    assert.deepEqual([...pair.accepted], [pair.fresh])
  })

  const rollbacks: [title: string, fault: string, result: Result][] = [
    ['the server does not take the new key', 'add', failed(1)],
    ['the new key does not log in', 'prove', failed(255, 'Permission denied')],
    ['the login with the new key is another device’s', 'prove', done('ok barn-2\n')],
  ]
  for (const [title, fault, result] of rollbacks) {
    test(`leaves all as it was where ${title}`, async () => {
      pair.faults[fault] = () => result
      await assert.rejects(pair.rotate())
      assert.deepEqual(pair.said.slice(-2).sort(), ['cancel', 'drop'])
      assert.ok(!pair.said.includes('switch'))
      assert.deepEqual([...pair.accepted], [pair.old])
    })
  }

  test('takes the new key back where the device took its old one again', async () => {
    pair.faults['keep'] = () => {
      pair.current = pair.old
      return failed(1)
    }
    await assert.rejects(pair.rotate(), { code: 'E_VERIFY', message: /took its old key again/ })
    assert.deepEqual([...pair.accepted], [pair.old])
  })

  test('leaves both keys accepted where nobody knows which one the device has', async () => {
    pair.faults['keep'] = () => failed(255)
    pair.faults['current'] = () => failed(255)
    await assert.rejects(pair.rotate(), { code: 'E_STAGE', hint: /both keys/ })
    assert.deepEqual([...pair.accepted].sort(), [pair.old, pair.fresh].sort())
    assert.ok(!pair.said.includes('finish') && !pair.said.includes('cancel'))
  })

  test('leaves all as it was when it is interrupted before the switch', async () => {
    pair.faults['prove'] = () => {
      pair.controller.abort(new Error('Ctrl-C'))
      return undefined
    }
    await assert.rejects(pair.rotate(), /Ctrl-C/)
    assert.deepEqual([...pair.accepted], [pair.old])
  })
})

describe('the device’s part', { skip: needs('ssh-keygen') }, () => {
  let home: string
  let tunnel: ChildProcess
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'fleetsie-rotate-'))
    mkdirSync(join(home, '.ssh'))
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(home, '.ssh/fleetsie')])
    symlinkSync('20001', join(home, '.ssh/fleetsie_tunnel_port'))
    // Something that is called as the tunnel's ssh is.
    writeFileSync(join(home, 'ssh'), '#!/bin/sh\nread -r _\n')
    chmodSync(join(home, 'ssh'), 0o755)
    tunnel = spawn(join(home, 'ssh'), ['-T', '-R', 'localhost:20001:localhost:22', 'fleetsie'])
  })
  afterEach(() => {
    tunnel.kill('SIGKILL')
    rmSync(home, { recursive: true, force: true })
  })

  const step = (...words: string[]): string =>
    execFileSync('sh', ['-s', '--', ...words], {
      input: readFileSync('units/fleetsie_rotate'),
      env: { PATH: process.env['PATH'], HOME: home },
      encoding: 'utf8',
    })
  const names = () => readdirSync(join(home, '.ssh')).filter((name) => name.startsWith('fleetsie.'))
  const key = () => /^current (.*)$/m.exec(step('current'))![1]!
  const tunnelEnds = () => new Promise((resolve) => tunnel.once('exit', resolve))

  test('changes the key, ends the tunnel, and keeps the new key when it is told to', async () => {
    const told = step('new', 'barn-1')
    const [old, fresh] = [/^current (.*)$/m.exec(told)![1], /^new (.*)$/m.exec(told)![1]]
    assert.equal(key(), old)
    const ended = tunnelEnds()
    assert.equal(step('switch', 'run1', '60'), 'switched\n')
    assert.equal(key(), fresh)
    assert.throws(() => step('keep', 'run1'), { status: 75 })
    await ended
    await until(() => existsSync(join(home, '.ssh/fleetsie.restarted.run1')))
    assert.equal(step('keep', 'run1'), `current ${fresh}\n`)
    await until(() => names().join() === 'fleetsie.pub')
    assert.equal(key(), fresh)
  })

  test('takes the old key again when nobody comes', async () => {
    const old = key()
    step('new', 'barn-1')
    step('switch', 'run2', '1')
    await until(() => !existsSync(join(home, '.ssh/fleetsie.old')))
    await until(() => names().join() === 'fleetsie.pub')
    assert.equal(key(), old)
    assert.throws(() => step('keep', 'run2'))
    const [, base64] = readFileSync(join(home, '.ssh/fleetsie.pub'), 'utf8').split(' ')
    assert.equal(`ssh-ed25519 ${base64}`, old)
  })

  test('forgets a new key that did not come into use', () => {
    const old = key()
    step('new', 'barn-1')
    step('drop')
    assert.deepEqual([names(), key()], [['fleetsie.pub'], old])
  })
})

/** Nothing tells of files of another process. */
async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; !holds(); ) {
    assert.ok(Date.now() < end, 'it did not come about')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
