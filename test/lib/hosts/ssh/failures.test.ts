/** Machines that do not do what they should: ssh2's own server, plain sockets, and a link that dies. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import {
  type AddressInfo,
  createConnection,
  createServer,
  type Server as NetServer,
  type Socket,
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import ssh2, { type AuthContext, type Connection, type ServerChannel, type Session } from 'ssh2'
import { FleetsieError } from '../../../../lib/errors.ts'
import { connect } from '../../../../lib/hosts/ssh/connect.ts'
import type { ConnectOptions, Host } from '../../../../lib/hosts/ssh/types.ts'
import { missing } from '../../../helpers/disks.ts'
import { Answers } from '../../../helpers/prompts.ts'
import { freePort } from '../../../helpers/sshd.ts'

const never = new AbortController().signal
const key = (): string =>
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
    type: 'pkcs1',
    format: 'pem',
  }) as string

describe('a machine that fails', { skip: missing('ssh', 'ssh-keygen') }, () => {
  const home = mkdtempSync(join(tmpdir(), 'fleetsie-ssh-'))
  const known = join(home, '.ssh/known_hosts')
  const hostKey = key()
  const servers: { close(): unknown }[] = []
  const sockets = new Set<Socket>()
  const hosts: Host[] = []
  before(() => mkdirSync(join(home, '.ssh')))
  afterEach(async () => {
    for (const host of hosts.splice(0)) await host.close()
    for (const socket of sockets) socket.destroy()
    for (const server of servers.splice(0)) server.close()
    rmSync(known, { force: true })
  })
  after(() => rmSync(home, { recursive: true }))

  const open = async (
    port: number,
    more: Partial<ConnectOptions> = {},
    host = '127.0.0.1',
  ): Promise<Host> => {
    const made = await connect(`user@${host}:${port}`, {
      ...{ prompts: new Answers(), signal: never, env: { HOME: home }, timeout: 60_000 },
      ...more,
    })
    hosts.push(made)
    return made
  }
  const listen = async (
    server: NetServer | InstanceType<typeof ssh2.Server>,
    host = '127.0.0.1',
  ): Promise<number> => {
    servers.push(server)
    server.listen(0, host)
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const raw = (talk: (socket: Socket) => void): Promise<number> =>
    listen(
      createServer((socket) => {
        sockets.add(socket.on('error', () => {}))
        talk(socket)
      }),
    )
  /** Knows the key of the server that `serve` makes. */
  const serve = async (
    authenticate: (context: AuthContext) => void,
    exec: (channel: ServerChannel, command: string) => void = (channel) => channel.exit(0),
    host = '127.0.0.1',
    opens: () => boolean = () => true,
  ): Promise<number> => {
    const server = new ssh2.Server({ hostKeys: [hostKey] }, (client: Connection) => {
      client.on('error', () => {})
      client.on('authentication', authenticate)
      client.on('session', (accept: () => Session, refuse: () => void) => {
        if (!opens()) return refuse()
        accept().on('exec', (yes: () => ServerChannel, _no: unknown, { command }: { command: string }) =>
          exec(yes(), command),
        )
      })
    })
    const port = await listen(server, host)
    const parsed = ssh2.utils.parseKey(hostKey)
    assert.ok(!(parsed instanceof Error))
    writeFileSync(known, `[${host}]:${port} ssh-rsa ${parsed.getPublicSSH().toString('base64')}\n`)
    return port
  }
  const fails = (code: string, message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof FleetsieError, String(error))
    assert.match(error.message, message)
    assert.equal(error.code, code)
    return true
  }

  it('is one whose name nobody knows', async () => {
    await assert.rejects(
      open(22, {}, 'no-such-host.invalid'),
      fails('E_IO', /nobody knows|cannot be looked up/),
    )
  })

  it('is one that refuses connections', async () => {
    await assert.rejects(open(await freePort()), fails('E_IO', /refuses connections/))
  })

  it('is one that says nothing', async () => {
    const port = await raw(() => {})
    await assert.rejects(open(port, { timeout: 300 }), fails('E_TIMEOUT', /not let us in after 0.3 s/))
  })

  it('is one that says nothing until the user has enough', async () => {
    const controller = new AbortController()
    const port = await raw(() => controller.abort())
    await assert.rejects(open(port, { signal: controller.signal }), fails('E_INTERRUPTED', /interrupted/))
  })

  const talks: [title: string, talk: (socket: Socket) => void, message: RegExp][] = [
    ['closes at once', (socket) => socket.end(), /closes without speaking ssh/],
    [
      'speaks HTTP',
      (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      /closes without speaking ssh|broke/,
    ],
    ['speaks garbage', (socket) => socket.write(Buffer.alloc(100_000, 0xff)), /broke|speaking/],
    ['resets the connection', (socket) => socket.resetAndDestroy(), /broke|speaking|closes/],
    ['stops in the middle', (socket) => socket.end('SSH-2.0-x\r\n\0\0'), /broke/],
  ]
  for (const [title, talk, message] of talks) {
    it(`is one that ${title}`, async () => {
      await assert.rejects(open(await raw(talk)), fails('E_IO', message))
    })
  }

  it('gets no name and no key while its host key is not the right one', async () => {
    let seen = 0
    const port = await serve((context) => {
      seen++
      context.accept()
    })
    const other = ssh2.utils.parseKey(key())
    assert.ok(!(other instanceof Error))
    writeFileSync(known, `[127.0.0.1]:${port} ssh-rsa ${other.getPublicSSH().toString('base64')}\n`)
    await assert.rejects(open(port), fails('E_VERIFY', /another key than the one that is known \(line 1\)/))
    assert.equal(seen, 0)
  })

  it('may ask for a password, which is given', async () => {
    const port = await serve((context) => {
      if (context.method === 'password' && context.password === 'right') context.accept()
      else context.reject(['password'])
    })
    const prompts = new Answers('wrong', 'right')
    await open(port, { prompts })
    assert.match(prompts.asked[1]!, /That was wrong. Password of user@/)
  })

  it('may ask questions of its own, shown without what steers a terminal', async () => {
    const port = await serve((context) => {
      if (context.method !== 'keyboard-interactive') context.reject(['keyboard-interactive'])
      else
        context.prompt([{ prompt: 'Code\x1b[2J:', echo: true }], ([answer]) =>
          answer === '42' ? context.accept() : context.reject(),
        )
    })
    const prompts = new Answers('42')
    await open(port, { prompts })
    assert.match(prompts.asked[0]!, /asks: Code\\u\{1b\}\[2J:/)
  })

  const refusals: [title: string, answers: Answers, code: string, message: RegExp][] = [
    ['three wrong passwords', new Answers('a', 'b', 'c'), 'E_RIGHTS', /user is not let in; there was no key/],
    [
      'nobody to ask',
      new Answers(new FleetsieError('E_USAGE', 'no terminal')),
      'E_RIGHTS',
      /not let in.*it takes password/,
    ],
    [
      'somebody who gives up',
      new Answers(new FleetsieError('E_CANCELLED', 'enough')),
      'E_CANCELLED',
      /enough/,
    ],
  ]
  for (const [title, prompts, code, message] of refusals) {
    it(`lets nobody in with ${title}`, async () => {
      const port = await serve((context) => context.reject(['password']))
      await assert.rejects(open(port, { prompts }), fails(code, message))
    })
  }

  it('does not count the time of an answer', async () => {
    const port = await serve((context) =>
      context.method === 'password' ? context.accept() : context.reject(['password']),
    )
    const slow = {
      ...new Answers(),
      secret: () => new Promise<string>((resolve) => setTimeout(() => resolve('x'), 6_000)),
      confirm: async () => false,
    }
    await open(port, { prompts: slow, timeout: 5_000 })
  })

  it('breaks while programs run and wait', async () => {
    const port = await serve(
      (context) => context.accept(),
      () => {
        for (const socket of sockets) socket.destroy()
      },
    )
    const relay = await raw((near) => {
      const far = createConnection(port, '127.0.0.1').on('error', () => {})
      near.pipe(far).pipe(near)
      near.once('close', () => far.destroy())
    })
    writeFileSync(known, readFileSync(known, 'utf8').replace(`:${port}`, `:${relay}`))
    const host = await open(relay)
    const runs = Array.from({ length: 12 }, () =>
      assert.rejects(host.run(['x']), fails('E_IO', /closed|broke/)),
    )
    await Promise.all(runs)
    await assert.rejects(host.run(['x']), fails('E_IO', /closed|broke/))
    await assert.rejects(host.forward(22), fails('E_IO', /closed|broke/))
  })

  it('ends a program without an exit code', async () => {
    const host = await open(
      await serve(
        (context) => context.accept(),
        (channel) => channel.close(),
      ),
    )
    await assert.rejects(host.run(['x']), fails('E_IO', /ended the program without a reason/))
  })

  it('starts no programs at all', async () => {
    const server = new ssh2.Server({ hostKeys: [hostKey] }, (client) => {
      client.on('error', () => {}).on('authentication', (context) => context.accept())
    })
    const port = await listen(server)
    const parsed = ssh2.utils.parseKey(hostKey)
    assert.ok(!(parsed instanceof Error))
    writeFileSync(known, `[127.0.0.1]:${port} ssh-rsa ${parsed.getPublicSSH().toString('base64')}\n`)
    await assert.rejects((await open(port)).run(['x']), fails('E_IO', /refuses a channel/))
  })

  it('lets go of a session some time after its program has ended', async () => {
    let asked = 0
    const exec = (channel: ServerChannel): void => {
      channel.exit(0)
      channel.end()
    }
    const opens = (): boolean => ![2, 3].includes(++asked)
    const host = await open(await serve((context) => context.accept(), exec, '127.0.0.1', opens))
    for (const program of ['first', 'second']) assert.equal((await host.run([program])).code, 0)
    assert.equal(asked, 4)
  })

  it('may have an address of IPv6', async () => {
    const host = await open(
      await serve(
        (context) => context.accept(),
        (channel) => {
          channel.exit(0)
          channel.end('six')
        },
        '::1',
      ),
      {},
      '[::1]',
    )
    assert.equal((await host.run(['x'])).stdout.toString(), 'six')
  })

  it('is never asked by a name that is an option', async () => {
    for (const name of ['-oProxyCommand=touch x', 'a@-oProxyCommand=x', 'a b']) {
      const options = { prompts: new Answers(), signal: never, env: {} }
      await assert.rejects(connect(name, options), fails('E_USAGE', /that is no/))
    }
  })
})
