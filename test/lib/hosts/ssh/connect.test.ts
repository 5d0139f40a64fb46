/** Host keys, and ways to a machine, before a real sshd. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { connect } from '../../../../lib/hosts/ssh/connect.ts'
import type { ConnectOptions, Host } from '../../../../lib/hosts/ssh/types.ts'
import { missing, tool } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { Answers } from '../../../helpers/prompts.ts'
import { TestSshd } from '../../../helpers/sshd.ts'

const never = new AbortController().signal
const skip = needsRoot || missing('ssh', 'sshd', 'ssh-keygen', 'ssh-agent', 'unshare', 'sudo', 'openssl')
const noTerminal = (): Error => new FleetsieError('E_USAGE', 'there is no terminal')

describe('connecting', { skip }, () => {
  let sshd: TestSshd
  let hosts: Host[] = []
  before(async () => {
    sshd = await TestSshd.start([], ['ed25519', 'rsa', 'ecdsa'])
  })
  beforeEach(() => {
    sshd.know('ed25519')
    sshd.configure([])
    rmSync(sshd.at('known_hosts2'), { force: true })
  })
  afterEach(async () => {
    for (const host of hosts) await host.close()
    hosts = []
  })
  after(() => sshd?.remove())

  const open = async (
    prompts: Answers = new Answers(),
    more: Partial<ConnectOptions> = {},
    destination = sshd.destination,
  ): Promise<Host> => {
    const host = await connect(destination, { prompts, signal: never, env: sshd.env, ...more })
    hosts.push(host)
    return host
  }
  const works = async (host: Host): Promise<void> => {
    assert.equal((await host.run(['echo', 'here'])).stdout.toString(), 'here\n')
  }
  const known = (): string => readFileSync(sshd.at('known_hosts'), 'utf8')
  const fails = (code: string, pattern: RegExp) => (error: unknown) => {
    assert.ok(error instanceof FleetsieError, String(error))
    assert.match(error.message, pattern)
    assert.equal(error.code, code)
    return true
  }
  /** How many times sshd has seen somebody name a user. */
  const attempts = (): number =>
    (
      sshd.log.match(
        /(Accepted|Postponed|Failed|Invalid user|Connection closed by (authenticating|invalid))/g,
      ) ?? []
    ).length

  it('says whom it has reached', async () => {
    const { name, user, host, port, hostKey } = await open()
    assert.deepEqual([name, user, host, port], [sshd.destination, 'root', '127.0.0.1', sshd.port])
    assert.deepEqual(`${hostKey.type} ${hostKey.base64}`, sshd.publicKey('ed25519'))
    assert.equal(hostKey.fingerprint, sshd.fingerprint())
  })

  for (const type of ['ed25519', 'rsa', 'ecdsa']) {
    it(`asks the machine for the ${type} key where that is the one that is known`, async () => {
      sshd.know(type)
      assert.equal((await open()).hostKey.fingerprint, sshd.fingerprint(type))
    })
  }

  const names: [title: string, put: () => void][] = [
    ['a hashed name', () => void tool('ssh-keygen', ['-q', '-H', '-f', sshd.at('known_hosts')])],
    ['a pattern', () => sshd.know('ed25519', '[127.0.0.*]:*')],
    ['the name without its port', () => sshd.know('ed25519', '127.0.0.1')],
    ['a list of names', () => sshd.know('ed25519', `other,[127.0.0.1]:${sshd.port},more`)],
    [
      'the alias of ssh_config',
      () => {
        sshd.configure(['HostKeyAlias The-Alias'])
        sshd.know('ed25519', 'The-Alias')
      },
    ],
    [
      'a name in a second file',
      () => {
        copyFileSync(sshd.at('known_hosts'), sshd.at('known_hosts2'))
        writeFileSync(sshd.at('known_hosts'), '')
      },
    ],
    [
      'lines that are garbage around it',
      () => writeFileSync(sshd.at('known_hosts'), `garbage\n\0\xff\n${known()}`),
    ],
  ]
  for (const [title, put] of names) {
    it(`finds ${title}`, async () => {
      put()
      await works(await open())
    })
  }

  it('asks about a machine that nobody knows, by the fingerprint that ssh prints, and remembers it', async () => {
    writeFileSync(sshd.at('known_hosts'), 'other ssh-ed25519 AAAA')
    const prompts = new Answers(true)
    await works(await open(prompts))
    assert.equal(prompts.asked.length, 1)
    assert.ok(prompts.asked[0]!.includes(sshd.fingerprint()))
    assert.equal(known(), `other ssh-ed25519 AAAA\n[127.0.0.1]:${sshd.port} ${sshd.publicKey('ed25519')}\n`)
    await works(await open())
  })

  it('makes the file for the first machine of all', async () => {
    rmSync(sshd.at('known_hosts'))
    sshd.configure(['HashKnownHosts yes'])
    await open(new Answers(true))
    assert.equal(statSync(sshd.at('known_hosts')).mode & 0o777, 0o600)
    assert.match(known(), /^\|1\|[^ ]+\|[^ ]+ ssh-ed25519 [^ ]+\n$/)
    await works(await open())
  })

  it('takes an unknown machine with the fingerprint that was given, without a question', async () => {
    writeFileSync(sshd.at('known_hosts'), '')
    await works(await open(new Answers(), { acceptNew: sshd.fingerprint() }))
    assert.match(known(), /ssh-ed25519/)
  })

  const wrong: [
    title: string,
    put: () => void,
    code: string,
    message: RegExp,
    more?: Partial<ConnectOptions>,
  ][] = [
    [
      'shows another key',
      () => sshd.know('other'),
      'E_VERIFY',
      /another key than the one that is known \(line 2\)/,
    ],
    [
      'shows another key, though its fingerprint is given',
      () => sshd.know('other'),
      'E_VERIFY',
      /another key/,
      { acceptNew: 'set below' },
    ],
    [
      'shows another key, and ssh_config would let it',
      () => {
        sshd.know('other')
        sshd.configure(['StrictHostKeyChecking no', 'UserKnownHostsFile ~/.ssh/known_hosts'])
      },
      'E_VERIFY',
      /another key/,
    ],
    [
      'shows a revoked key',
      () => appendFileSync(sshd.at('known_hosts'), `@revoked * ${sshd.publicKey('ed25519')}\n`),
      'E_VERIFY',
      /revoked \(line 2\)/,
    ],
    [
      'has lost the type of key that is known',
      () => writeFileSync(sshd.at('known_hosts'), `[127.0.0.1]:${sshd.port} ecdsa-sha2-nistp521 AAAA\n`),
      'E_VERIFY',
      /another key/,
    ],
    [
      'is new, and the user says no',
      () => writeFileSync(sshd.at('known_hosts'), ''),
      'E_CANCELLED',
      /not confirmed/,
    ],
    [
      'is new, and its fingerprint is not the one that was given',
      () => writeFileSync(sshd.at('known_hosts'), ''),
      'E_VERIFY',
      /not SHA256:AAAA/,
      { acceptNew: 'SHA256:AAAA' },
    ],
    [
      'is new, and nobody can be asked',
      () => writeFileSync(sshd.at('known_hosts'), ''),
      'E_VERIFY',
      /not known, and there is no terminal/,
      { prompts: new Answers(noTerminal()) },
    ],
    [
      'is new, and ssh_config forbids to ask',
      () => {
        writeFileSync(sshd.at('known_hosts'), '')
        sshd.configure(['StrictHostKeyChecking yes'])
      },
      'E_VERIFY',
      /which is not known/,
    ],
    [
      'is known by an authority only',
      () => writeFileSync(sshd.at('known_hosts'), `@cert-authority * ${sshd.publicKey('rsa')}\n`),
      'E_VERIFY',
      /certificate authority only \(line 1\)/,
    ],
  ]
  for (const [title, put, code, message, more = {}] of wrong) {
    it(`sends nothing to a machine that ${title}`, async () => {
      if (!existsSync(sshd.hostKey('other'))) sshd.key(sshd.hostKey('other'))
      put()
      if (title.includes('another')) writeFileSync(sshd.at('known_hosts'), `# comment\n${known()}`)
      const before = [known(), attempts()]
      if (more.acceptNew === 'set below') more.acceptNew = sshd.fingerprint()
      await assert.rejects(open(new Answers(false), more), (error: FleetsieError) => {
        fails(code, message)(error)
        if (/line \d/.test(error.message)) assert.equal(error.file, sshd.at('known_hosts'))
        if (/another key/.test(error.message)) {
          assert.match(
            error.hint!,
            /compare SHA256:\S{43} there, then ssh-keygen -R '\[127\.0\.0\.1\]:\d+' -f \//,
          )
        }
        return true
      })
      assert.deepEqual([known(), attempts()], before)
    })
  }

  it('goes through another machine, and knows both keys', async () => {
    const far = await TestSshd.start()
    try {
      appendFileSync(sshd.at('known_hosts'), `[127.0.0.1]:${far.port} ${far.publicKey('ed25519')}\n`)
      sshd.configure([
        ...['Host jump', 'HostName 127.0.0.1', `Port ${sshd.port}`, 'User root'],
        ...['Host far', 'HostName 127.0.0.1', `Port ${far.port}`, 'ProxyJump jump', 'User root'],
        ...['Host piped', 'HostName 127.0.0.1', `Port ${far.port}`, 'User root'],
        `ProxyCommand ssh -F ${sshd.at('config')} -i ${sshd.at('id_ed25519')} -o UserKnownHostsFile=${sshd.at('known_hosts')} -W %h:%p jump`,
      ])
      writeFileSync(join(far.folder, 'authorized'), readFileSync(`${sshd.at('id_ed25519')}.pub`))
      for (const name of ['far', 'piped']) {
        const host = await open(new Answers(), {}, name)
        assert.equal(host.hostKey.fingerprint, far.fingerprint())
        await works(host)
        const big = await host.run(['cat'], { stdin: Buffer.alloc(5_000_000, 'x') })
        assert.equal(big.stdout.length, 5_000_000)
        await host.close()
      }
      writeFileSync(sshd.at('known_hosts'), known().split('\n').slice(1).join('\n'))
      await assert.rejects(open(new Answers(false), {}, 'far'), fails('E_CANCELLED', /^jump shows/))
    } finally {
      for (const host of hosts) await host.close()
      await far.remove()
    }
  })

  it('ends with what a ProxyCommand says', async () => {
    sshd.configure(["ProxyCommand sh -c 'echo no way there >&2; exit 3'"])
    await assert.rejects(open(), fails('E_STAGE', /no way there/))
  })

  it('does not go round in circles', async () => {
    sshd.configure(['Host a', 'ProxyJump b', 'Host b', 'ProxyJump a'])
    await assert.rejects(open(new Answers(), {}, 'a'), fails('E_INPUT', /through more than/))
  })

  it('tells what is wrong in ssh_config', async () => {
    sshd.configure(['NoSuchThing yes'])
    await assert.rejects(open(), fails('E_INPUT', /Bad configuration option: nosuchthing/))
    sshd.configure(['HostName a;b'])
    await assert.rejects(open(), fails('E_INPUT', /impossible/))
  })
})
