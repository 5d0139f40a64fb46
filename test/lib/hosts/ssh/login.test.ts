/** Ways to log in, before a real sshd. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { connect } from '../../../../lib/hosts/ssh/connect.ts'
import type { ConnectOptions, Host } from '../../../../lib/hosts/ssh/types.ts'
import { missing, tool } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { Answers } from '../../../helpers/prompts.ts'
import { TestSshd } from '../../../helpers/sshd.ts'

const never = new AbortController().signal
const skip = needsRoot || missing('ssh', 'sshd', 'ssh-keygen', 'ssh-agent', 'unshare', 'openssl')
const noTerminal = (): Error => new FleetsieError('E_USAGE', 'there is no terminal')

describe('logging in', { skip }, () => {
  let sshd: TestSshd
  let hosts: Host[] = []
  const open = async (prompts = new Answers(), more: Partial<ConnectOptions> = {}): Promise<Host> => {
    const host = await connect(sshd.destination, { prompts, signal: never, env: sshd.env, ...more })
    hosts.push(host)
    return host
  }
  const works = async (host: Host): Promise<void> => {
    assert.equal((await host.run(['echo', 'here'])).stdout.toString(), 'here\n')
  }
  const fails = (code: string, pattern: RegExp) => (error: unknown) => {
    assert.ok(error instanceof FleetsieError, String(error))
    assert.match(error.message, pattern)
    assert.equal(error.code, code)
    return true
  }
  afterEach(async () => {
    for (const host of hosts) await host.close()
    hosts = []
  })

  let agent: { socket: string; stop: () => Promise<void> }
  before(async () => {
    sshd = await TestSshd.start()
    sshd.key(sshd.at('locked'), 'ed25519', 'open sesame')
    sshd.key(sshd.at('locked_pem'), 'rsa', 'open sesame')
    tool('ssh-keygen', [
      '-q',
      '-p',
      '-m',
      'PEM',
      '-P',
      'open sesame',
      '-N',
      'open sesame',
      '-f',
      sshd.at('locked_pem'),
    ])
    for (const name of ['rsa', 'ecdsa', 'stranger'])
      sshd.key(sshd.at(name), name === 'stranger' ? 'ed25519' : name)
    for (const name of ['locked', 'locked_pem', 'rsa', 'ecdsa']) sshd.authorize(sshd.at(name))
    const socket = join(sshd.folder, 'agent')
    const child = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] })
    await once(child.stdout, 'data')
    agent = {
      socket,
      stop: async () => {
        child.kill()
        await once(child, 'exit')
      },
    }
  })
  after(async () => {
    await agent?.stop()
    await sshd?.remove()
  })
  const withAgent = (): Partial<ConnectOptions> => ({ env: { ...sshd.env, SSH_AUTH_SOCK: agent.socket } })
  const load = (name: string): void => {
    tool('env', [`SSH_AUTH_SOCK=${agent.socket}`, 'ssh-add', '-q', sshd.at(name)])
  }
  const empty = (): void => {
    tool('env', [`SSH_AUTH_SOCK=${agent.socket}`, 'ssh-add', '-q', '-D'])
  }
  const identity = (name: string): void =>
    sshd.configure([`IdentityFile ~/.ssh/${name}`, 'IdentitiesOnly yes'])

  for (const name of ['rsa', 'ecdsa', 'id_ed25519']) {
    it(`takes the key ${name}`, async () => {
      identity(name)
      await works(await open())
    })
  }

  it('asks for the passphrase only of a key that is accepted, again when it is wrong', async () => {
    sshd.configure(['IdentityFile ~/.ssh/stranger', 'IdentityFile ~/.ssh/locked', 'IdentitiesOnly yes'])
    const prompts = new Answers('open', 'open sesame')
    await works(await open(prompts))
    assert.deepEqual(prompts.asked, [
      `Passphrase of ${sshd.at('locked')}: `,
      `That was wrong. Passphrase of ${sshd.at('locked')}: `,
    ])
  })

  it('opens an encrypted key of the older form', async () => {
    identity('locked_pem')
    await works(await open(new Answers('open sesame')))
  })

  it('goes on to the next key when a passphrase is not given', async () => {
    sshd.configure(['IdentityFile ~/.ssh/locked', 'IdentityFile ~/.ssh/rsa', 'IdentitiesOnly yes'])
    await works(await open(new Answers('')))
    await works(await open(new Answers(noTerminal())))
  })

  it('takes a key of the agent', async () => {
    identity('none')
    sshd.configure(['IdentityFile ~/.ssh/none'])
    load('rsa')
    await works(await open(new Answers(), withAgent()))
    empty()
  })

  it('takes from the agent what a file names, when only that may be used', async () => {
    sshd.key(sshd.at('moved'))
    sshd.authorize(sshd.at('moved'))
    load('moved')
    load('stranger')
    rmSync(sshd.at('moved'))
    identity('moved')
    await works(await open(new Answers(), withAgent()))
    identity('stranger')
    await assert.rejects(
      open(new Answers(), withAgent()),
      fails('E_RIGHTS', /offered: agent key test; it takes publickey/),
    )
    empty()
  })

  it('asks the agent of ssh_config', async () => {
    load('ecdsa')
    sshd.configure(['IdentityFile ~/.ssh/none', `IdentityAgent ${agent.socket}`])
    await works(await open())
    sshd.configure(['IdentityFile ~/.ssh/none', 'IdentityAgent none'])
    await assert.rejects(open(new Answers(), withAgent()), fails('E_RIGHTS', /no key to offer/))
    empty()
  })

  it('says which keys were offered, and what the machine would take', async () => {
    identity('stranger')
    const said = new RegExp(` is not let in; offered: ${sshd.at('stranger')}; it takes publickey$`)
    await assert.rejects(open(), fails('E_RIGHTS', said))
  })

  it('leaves a private key alone that others can read, and says so', async () => {
    identity('rsa')
    chmodSync(sshd.at('rsa'), 0o644)
    await assert.rejects(open(), {
      code: 'E_RIGHTS',
      message: /there was no key to offer/,
      hint: /others can read it/,
    })
    chmodSync(sshd.at('rsa'), 0o600)
  })

  it('is not stopped by files that are no keys, nor by an agent that is gone', async () => {
    writeFileSync(sshd.at('broken'), 'no key\n', { mode: 0o600 })
    sshd.configure([
      'IdentityFile ~/.ssh',
      'IdentityFile ~/.ssh/broken',
      'IdentityFile ~/.ssh/rsa',
      'IdentityAgent /none',
    ])
    await works(await open())
  })
})
