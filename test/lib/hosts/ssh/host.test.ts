/** Programs on a machine behind a real sshd. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { connect } from '../../../../lib/hosts/ssh/connect.ts'
import type { Host, Prompts } from '../../../../lib/hosts/ssh/types.ts'
import { missing } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { TestSshd } from '../../../helpers/sshd.ts'

const unasked: Prompts = {
  secret: async (question) => assert.fail(`asked: ${question}`),
  confirm: async (question) => assert.fail(`asked: ${question}`),
}
const signal = new AbortController().signal

describe('a host', {
  skip: needsRoot || missing('ssh', 'sshd', 'ssh-keygen', 'unshare', 'sudo', 'openssl'),
}, () => {
  let sshd: TestSshd
  let host: Host
  before(async () => {
    sshd = await TestSshd.start()
    host = await connect(sshd.destination, { prompts: unasked, signal, env: sshd.env })
  })
  after(async () => {
    await host?.close()
    await sshd?.remove()
  })

  it('runs a program', async () => {
    const result = await host.run([
      'sh',
      '-c',
      'echo "$1"; echo error >&2; exit 3',
      'sh',
      "it's $HOME `id` \n*",
    ])
    assert.equal(result.stdout.toString(), "it's $HOME `id` \n*\n")
    assert.equal(result.stderr, 'error\n')
    assert.equal(result.code, 3)
  })

  it('runs a script with a stdin of its own', async () => {
    const result = await host.script('echo "$0 $1 $#"\ncat\nexit 4\n', ['a b', ''], { stdin: 'data\n' })
    assert.deepEqual([result.stdout.toString(), result.stderr, result.code], ['sh a b 2\ndata\n', '', 4])
  })
})
