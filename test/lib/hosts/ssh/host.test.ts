/** Programs on a machine behind a real sshd. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { connect } from '../../../../lib/hosts/ssh/connect.ts'
import type { Host, RemoteOptions, RemoteResult } from '../../../../lib/hosts/ssh/types.ts'
import { missing } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { Answers } from '../../../helpers/prompts.ts'
import { TestSshd } from '../../../helpers/sshd.ts'

const never = new AbortController().signal
const MiB = 1024 * 1024

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 60_000
  while (!holds()) {
    assert.ok(Date.now() < end, 'waited for a minute')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('a host', { skip: needsRoot || missing('ssh', 'sshd', 'ssh-keygen', 'unshare', 'openssl') }, () => {
  let sshd: TestSshd
  let host: Host
  /** As a user who is not root: sshd passes signals on to such programs only. */
  let plain: Host
  before(async () => {
    sshd = await TestSshd.start()
    const options = { prompts: new Answers(), signal: never, env: sshd.env }
    host = await connect(sshd.destination, options)
    plain = await connect(`plain@127.0.0.1:${sshd.port}`, options)
  })
  after(async () => {
    await host?.close()
    await plain?.close()
    await sshd?.remove()
  })
  const fails = (code: string, pattern: RegExp) => (error: FleetsieError) => {
    assert.match(error.message, pattern)
    assert.equal(error.code, code)
    return true
  }
  const text = ({ stdout, stderr, code }: RemoteResult): [string, string, number] => [
    ...([stdout.toString(), stderr] as const),
    code,
  ]

  it('gives a program its arguments, whatever they hold', async () => {
    const tricky = ["it's", '$HOME', '`id`', ' \n*', '', '-n', 'a=b', '日本\x01']
    const { stdout } = await host.run(['printf', '%s\\0', ...tricky])
    assert.deepEqual(stdout.toString().split('\0').slice(0, -1), tricky)
  })

  it('answers with the exit code and both outputs', async () => {
    assert.deepEqual(text(await host.run(['sh', '-c', 'echo out; echo error >&2; exit 3'])), [
      'out\n',
      'error\n',
      3,
    ])
    assert.equal((await host.run(['no-such-program'])).code, 127)
  })

  it('reports a signal that ended a program', async () => {
    const { code, killedBy } = await host.run(['sh', '-c', 'kill -KILL $$'])
    // The login shell is what sshd has started; where it became the program, ssh tells the signal itself.
    assert.ok(code === 137 && (killedBy === undefined || killedBy === 'SIGKILL'))
    const direct = await host.script('kill -TERM $PPID; kill -TERM $$', [])
    assert.ok(direct.code === 143)
  })

  it('is not confused by a hundred short programs', async () => {
    for (let turn = 0; turn < 100; turn++) assert.equal((await host.run(['true'])).code, 0)
  })

  const inputs: [title: string, stdin: RemoteOptions['stdin'], wanted: string][] = [
    ['nothing', undefined, ''],
    ['text', 'a\nü', 'a\nü'],
    ['bytes', new Uint8Array([120, 10, 121]), 'x\ny'],
    ['a stream', Readable.from(['one', Buffer.from('two')]), 'onetwo'],
    ['an empty stream', Readable.from([]), ''],
  ]
  for (const [title, stdin, wanted] of inputs) {
    it(`gives a program ${title} on stdin`, async () => {
      assert.equal((await host.run(['cat'], stdin === undefined ? {} : { stdin })).stdout.toString(), wanted)
    })
  }

  describe('runs a script', () => {
    const cases: [
      title: string,
      script: string,
      args: string[],
      stdin: RemoteOptions['stdin'],
      wanted: unknown,
    ][] = [
      [
        'with its stdin',
        'echo "$0 $1 $#"\ncat\nexit 4\n',
        ['a b', ''],
        'data\n',
        ['sh a b 2\ndata\n', '', 4],
      ],
      ['without a stdin', 'cat; read -r x || echo none', [], undefined, ['none\n', '', 0]],
      ['that ends in a comment', 'echo a # b', [], 'x', ['a\n', '', 0]],
      ['with a document in it', "cat <<'END'\n$x `y`\nEND\n", [], 'x', ['$x `y`\n', '', 0]],
      ['that stops at an error', 'set -e\nfalse\necho no', [], 'x', ['', '', 1]],
      ['that is empty', '', [], 'x', ['', '', 0]],
      [
        'of many bytes',
        `${'# ü\n'.repeat(20_000)}echo "$1"; wc -c`,
        ['a'],
        'x'.repeat(300_000),
        ['a\n300000\n', '', 0],
      ],
    ]
    for (const [title, script, args, stdin, wanted] of cases) {
      it(title, async () => {
        assert.deepEqual(text(await host.script(script, args, stdin === undefined ? {} : { stdin })), wanted)
      })
    }

    it('that no other user can see, nor its stdin', async () => {
      const look =
        'secret_in_text=1; grep -lazF secret_in_ /proc/[0-9]*/cmdline /proc/[0-9]*/environ; cat >/dev/null'
      assert.deepEqual((await host.script(look, ['x'], { stdin: 'secret_in_stdin' })).stdout.toString(), '')
    })

    it('not at all when it did not come whole', async () => {
      const file = join(sshd.folder, 'touched')
      const stdin = new Readable({ read() {} })
      // What script() sends, cut off.
      const { scriptCommand } = await import('../../../../lib/hosts/ssh/script.ts')
      const { argv } = scriptCommand(`touch ${file}\n# ${'x'.repeat(1000)}`, [], undefined)
      stdin.push(`touch ${file}\n# xxx`)
      stdin.push(null)
      assert.equal((await host.run(argv, { stdin })).code, 255)
      assert.equal(existsSync(file), false)
    })

    it('unless it holds a NUL byte or is too long', async () => {
      await assert.rejects(host.script('a\0', []), fails('E_INPUT', /NUL/))
      await assert.rejects(host.script('x'.repeat(2 * MiB), []), fails('E_INPUT', /longer/))
    })
  })

  it('sends 100 MB with little memory', async () => {
    const block = Buffer.alloc(MiB, 'fleetsie')
    const sum = createHash('sha256')
    let peak = 0
    const source = function* (): Generator<Buffer> {
      for (let sent = 0; sent < 100; sent++) {
        sum.update(block)
        peak = Math.max(peak, process.memoryUsage().rss)
        yield block
      }
    }
    const start = process.memoryUsage().rss
    const file = join(sshd.folder, 'big')
    const { stdout } = await host.run(['sh', '-c', 'cat >"$1" && sha256sum <"$1"', 'sh', file], {
      stdin: Readable.from(source()),
    })
    assert.equal(stdout.toString().split(' ')[0], sum.digest('hex'))
    assert.ok(peak - start < 64 * MiB, `${(peak - start) / MiB} MiB more`)
  })

  it('takes a program that does not read what it is given', async () => {
    assert.equal((await host.run(['true'], { stdin: Buffer.alloc(10 * MiB) })).code, 0)
    const endless = new Readable({ read: () => void endless.push(Buffer.alloc(65536)) })
    assert.equal((await host.run(['head', '-c1'], { stdin: endless })).stdout.length, 1)
    assert.equal(endless.destroyed, true)
  })

  it('fails as what feeds a program fails', async () => {
    const broken = new Readable({ read() {} })
    const result = host.run(['cat'], { stdin: broken })
    broken.push('x')
    broken.destroy(new Error('the disk is gone'))
    await assert.rejects(result, /the disk is gone/)
  })

  it('ends what prints too much, and keeps the end of a long stderr', async () => {
    await assert.rejects(
      host.run(['yes'], { limit: 100_000 }),
      fails('E_STAGE', /^yes on .* printed more than 100000/),
    )
    // Each has given its place back.
    for (let turn = 0; turn < 10; turn++) await assert.rejects(host.run(['yes'], { limit: 100_000 }))
    const { stderr } = await host.run(['sh', '-c', 'yes | head -c 5000000 >&2; echo the end >&2'])
    assert.equal(stderr.length, 64 * 1024)
    assert.ok(stderr.endsWith('the end\n'))
  })

  it('ends a program after its time', async () => {
    await assert.rejects(
      plain.run(['sleep', '5'], { timeout: 500 }),
      fails('E_TIMEOUT', /sleep on .* after 500 ms/),
    )
  })

  it('ends a program by a signal, over there as well', async () => {
    const controller = new AbortController()
    const mark = `7${process.pid}.25`
    const running = (): boolean =>
      readdirSync('/proc').some((pid) => {
        try {
          return (
            /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(`sleep\0${mark}`)
          )
        } catch {
          return false
        }
      })
    const result = plain.run(['sleep', mark], { signal: controller.signal })
    await until(() => running())
    controller.abort()
    await assert.rejects(result, fails('E_INTERRUPTED', /interrupted/))
    await until(() => !running())
    const again = plain.run(['true'], { signal: controller.signal })
    await assert.rejects(again, fails('E_INTERRUPTED', /interrupted/))
  })

  it('runs more programs at once than sshd allows sessions', async () => {
    const names = Array.from({ length: 40 }, (_, at) => `${at}`)
    const results = await Promise.all(
      names.map((name) => host.run(['sh', '-c', 'sleep 0.1; echo "$1"', 'sh', name])),
    )
    assert.deepEqual(
      results.map(({ stdout }) => stdout.toString().trim()),
      names,
    )
  })

  it('reaches a port over there', async () => {
    const server = createServer((socket: Socket) => socket.end('hello')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const stream = await host.forward(port, '127.0.0.1')
    let said = ''
    for await (const chunk of stream) said += chunk
    assert.equal(said, 'hello')
    server.close()
    await once(server, 'close')
    await assert.rejects(
      host.forward(port, '127.0.0.1'),
      fails('E_IO', /refuses a channel: .*Connection refused/),
    )
  })

  it('ends programs that run when it is closed, and starts no more', async () => {
    const other = await connect(`plain@127.0.0.1:${sshd.port}`, {
      prompts: new Answers(),
      signal: never,
      env: sshd.env,
    })
    const result = assert.rejects(other.run(['sleep', '60']), fails('E_IO', /was closed/))
    await other.run(['true'])
    await other.close()
    await result
    await assert.rejects(other.run(['true']), fails('E_IO', /was closed/))
    await other.close()
  })
})
