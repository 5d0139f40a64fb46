/** Becoming root on a machine, before the real sudo and its password. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { after, afterEach, before, describe, it } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { connect } from '../../../../lib/hosts/ssh/connect.ts'
import type { Host } from '../../../../lib/hosts/ssh/types.ts'
import { missing } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { Answers } from '../../../helpers/prompts.ts'
import { password, TestSshd } from '../../../helpers/sshd.ts'

const never = new AbortController().signal
const skip = needsRoot || missing('ssh', 'sshd', 'ssh-keygen', 'unshare', 'sudo', 'openssl')

describe('sudo', { skip }, () => {
  let sshd: TestSshd
  let hosts: Host[] = []
  before(async () => {
    sshd = await TestSshd.start()
  })
  afterEach(async () => {
    for (const host of hosts) await host.close()
    hosts = []
  })
  after(() => sshd?.remove())
  const as = async (user: string, prompts = new Answers()): Promise<Host> => {
    const host = await connect(`${user}@127.0.0.1:${sshd.port}`, { prompts, signal: never, env: sshd.env })
    hosts.push(host)
    return host
  }

  for (const user of ['root', 'free']) {
    it(`asks ${user} nothing`, async () => {
      const host = await as(user)
      const { stdout, stderr, code } = await host.script('id -u; cat; echo "$1" >&2; exit 7', ['said'], {
        ...{ sudo: true, stdin: 'data' },
      })
      assert.deepEqual([stdout.toString(), stderr, code], ['0\ndata', 'said\n', 7])
    })
  }

  it('is not used unless it is wanted', async () => {
    assert.equal((await (await as('free')).run(['id', '-u'])).stdout.toString(), '2002\n')
  })

  it('asks for the password once for all programs, and never lets it near their stdin', async () => {
    const prompts = new Answers(password)
    const host = await as('admin', prompts)
    const results = await Promise.all(
      ['a', 'b', 'c'].map((stdin) => host.run(['sh', '-c', 'id -u; cat'], { sudo: true, stdin })),
    )
    assert.deepEqual(
      results.map(({ stdout, stderr }) => [stdout.toString(), stderr]),
      ['a', 'b', 'c'].map((stdin) => [`0\n${stdin}`, '']),
    )
    assert.equal((await host.script('cat', [], { sudo: true, stdin: 'x' })).stdout.toString(), 'x')
    assert.deepEqual(prompts.asked, ['Password of admin@127.0.0.1 for sudo: '])
  })

  it('asks again when the password was wrong, and keeps the right one', async () => {
    const prompts = new Answers('wrong', password)
    const host = await as('admin', prompts)
    assert.equal((await host.run(['cat'], { sudo: true, stdin: 'data' })).stdout.toString(), 'data')
    assert.equal((await host.run(['id', '-u'], { sudo: true })).stdout.toString(), '0\n')
    assert.equal(prompts.asked.length, 2)
    assert.match(prompts.asked[1]!, /^That was wrong/)
  })

  const refused: [title: string, user: string, answers: (string | Error)[], code: string, message: RegExp][] =
    [
      [
        'three wrong passwords',
        'admin',
        ['one-secret', 'two-secret', 'three-secret'],
        'E_RIGHTS',
        /sudo (refuses|took none)/,
      ],
      ['a user who may not', 'plain', [password], 'E_RIGHTS', /sudo refuses:[\s\S]*not in the sudoers/],
      [
        'somebody who gives up',
        'admin',
        [new FleetsieError('E_CANCELLED', 'given up')],
        'E_CANCELLED',
        /given up/,
      ],
      ['nobody to ask', 'admin', [new FleetsieError('E_USAGE', 'no terminal')], 'E_USAGE', /no terminal/],
    ]
  for (const [title, user, answers, code, message] of refused) {
    it(`fails with ${title}, and runs nothing`, async () => {
      const host = await as(user, new Answers(...answers))
      const file = `${sshd.folder}/touched`
      await assert.rejects(host.run(['touch', file], { sudo: true, stdin: 'x' }), (error: FleetsieError) => {
        assert.equal(error.code, code)
        assert.match(error.message, message)
        assert.doesNotMatch(`${error.message}${error.hint}${error.stack}`, /-secret|corr3ct/)
        return true
      })
      assert.ok(!readdirSync(sshd.folder).includes('touched'))
      assert.equal((await host.run(['true'])).code, 0)
    })
  }

  it('says so where there is none', async () => {
    const host = await as('plain')
    // The launcher as it is, with a search path in which only the rest is.
    const { SudoGate, SudoPassword } = await import('../../../../lib/hosts/ssh/sudo.ts')
    const gate = new SudoGate('x', new SudoPassword('x', new Answers(), undefined))
    const bin = `${sshd.folder}/home-of-plain/bin`
    await host.script('mkdir "$1"; ln -s /usr/bin/id /bin/sh /usr/bin/printf "$1"', [bin])
    const { stderr, code } = await host.run(['env', `PATH=${bin}`, ...gate.wrap(['id'])])
    assert.equal(code, 1)
    await gate.hear(stderr)
    assert.match(gate.refusal().message, /there is no sudo there/)
  })

  it('shows no password among arguments, environments and logs over there', async () => {
    const host = await as('admin', new Answers(password))
    const look = `for p in /proc/[0-9]*; do cat "$p/cmdline" "$p/environ" 2>/dev/null; done | grep -ac 'corr[3]ct'`
    const { stdout } = await host.script(look, [], { sudo: true })
    assert.equal(stdout.toString(), '0\n')
    assert.doesNotMatch(sshd.log, /corr3ct/)
    assert.doesNotMatch(readFileSync(`${sshd.home}/.ssh/known_hosts`, 'utf8'), /corr3ct/)
  })
})
