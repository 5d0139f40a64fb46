/** Claims and tunnels through a real sshd that `srv` has set up: what each answer is, and what a key cannot do. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeOtp } from '../../lib/fleet/names.ts'
import type { GenReply } from '../../lib/fleet/server/protocol.ts'
import { hwid, loginKey, ourForm } from '../helpers/claims.ts'
import { FleetServer } from '../helpers/fleet-server.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { SrvProgram } from '../helpers/srv.ts'

const skip = needsRoot || needs('mmdebstrap', 'unshare', 'nsenter', 'ip', 'flock', 'script', 'ssh-keygen')

/** All that a device needs to speak the two-line form. */
const client = `#!/bin/sh
# KEY FLEET HOST HWID OTP
printf '%s\\n%s\\n' "$4" "$5" | ssh -T -o BatchMode=yes -o IdentitiesOnly=yes -i "$1" "fleetsie_$2@$3" | {
	read -r answer
	case $answer in
	Ok)
		for name in user_pwd root_pwd hostname fleetuser tunnel_port server_public_key server_private_key \\
			device_public_key zabbix_psk fleet_extra; do
			IFS= read -r value && printf '%s=%s\\n' "$name" "$value"
		done ;;
	Try | Error) read -r more && echo "$answer: $more" ;;
	*) echo "$answer" ;;
	esac
}
`

interface Result {
  status: number | null
  stdout: string
  stderr: string
}

interface Disk {
  lot: string
  keyFile: string
  otps: Map<number, string>
}

describe('a fleet server', { skip }, () => {
  let program: SrvProgram
  let server: FleetServer
  let disk: Disk
  const live: ChildProcess[] = []
  before(async () => {
    program = await SrvProgram.make()
    server = await FleetServer.start()
    const { code, stdout, screen } = await program.ask(server, ['root@192.0.2.1'])
    assert.equal(code, 0, stdout + screen)
    writeFileSync(join(server.manager.home, 'client'), client, { mode: 0o755 })
    disk = await makeDisk('birds', 5, { serverKeys: true })
  })
  after(async () => {
    for (const child of live) child.kill()
    await server?.stop()
    await program?.remove()
  })

  function here(argv: readonly string[], input = ''): Result {
    const [command, args] = server.enter(argv)
    return spawnSync(command, args, { encoding: 'utf8', input, timeout: 60_000 })
  }

  /** What fleetsie_gen_srv answers. */
  function ask<Reply>(request: object): Reply {
    const argv = ['ssh', '-o', 'BatchMode=yes', 'fleetsie@192.0.2.1', '/home/fleetsie/fleetsie_gen_srv']
    const { status, stdout, stderr } = here(argv, JSON.stringify(request))
    assert.equal(status, 0, stdout + stderr)
    return JSON.parse(stdout) as Reply
  }

  function newKey(name: string): string {
    const file = join(server.manager.home, name)
    assert.equal(here(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', file]).status, 0)
    return file
  }
  const publicOf = (file: string): string => readFileSync(`${file}.pub`, 'utf8').trim()

  async function makeDisk(fleet: string, num: number, more: object = {}): Promise<Disk> {
    const lot = randomBytes(8).toString('hex')
    const keyFile = newKey(`disk-${lot}`)
    const wanted = { lot, key: publicOf(keyFile), expires: null, claimed: [], has: [] }
    const request = { do: 'gen', fleet, num, request: randomUUID(), loginKey, disk: wanted, ...more }
    const reply = ask<GenReply>(request)
    return {
      lot,
      keyFile,
      otps: new Map(reply.disk!.devices.map(({ id_in_fleet: id, otp }) => [id, otp])),
    }
  }

  const ssh = (keyFile: string, more: readonly string[], input = ''): Result =>
    here(sshArgv(keyFile, more), input)
  const sshArgv = (keyFile: string, more: readonly string[]): string[] => {
    const own = [
      '-o',
      'BatchMode=yes',
      '-o',
      'IdentitiesOnly=yes',
      '-o',
      'ExitOnForwardFailure=yes',
      '-i',
      keyFile,
    ]
    return ['ssh', ...own, ...more]
  }
  const birds = 'fleetsie_birds@192.0.2.1'

  function twoLines(device: number, otp: string, from = disk, fleet = 'birds'): string {
    const { status, stdout, stderr } = here([
      join(server.manager.home, 'client'),
      ...[from.keyFile, fleet, '192.0.2.1', hwid(device), otp],
    ])
    assert.equal(status, 0, stderr)
    return stdout
  }

  /** Claims device `id` with a key of its own; answers its file. */
  function claimed(id: number): string {
    const key = newKey(`device-${id}`)
    const { stdout, stderr } = ssh(
      disk.keyFile,
      ['-T', birds],
      ourForm(id, disk.otps.get(id)!, publicOf(key)),
    )
    assert.match(stdout, new RegExp(`^Ok\n\n\nbirds-${id}\nfleetsie_birds\n${20_000 + id}\n`), stderr)
    return key
  }

  /** Holds the tunnel of a device; the promise is kept when sshd has granted all that was asked for. */
  async function tunnel(keyFile: string, more: readonly string[]): Promise<ChildProcess> {
    const [command, args] = server.enter(sshArgv(keyFile, ['-v', '-T', ...more]))
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    live.push(child)
    child.stdout!.resume()
    let said = ''
    await new Promise<void>((resolve, reject) => {
      child.stderr!.setEncoding('utf8').on('data', (text: string) => {
        said += text
        if (/remote forward success for/.test(said)) resolve()
      })
      child.once('close', () => reject(new Error(said)))
    })
    return child
  }

  async function ends(child: ChildProcess): Promise<void> {
    const closed = once(child, 'close')
    child.stdin!.end()
    await closed
  }

  const presence = (host: string): string => server.file(`/run/fleetsie/dev/birds/${host}`)
  async function until(true_: () => boolean): Promise<void> {
    const limit = Date.now() + 120_000
    while (!true_()) {
      assert.ok(Date.now() < limit, 'it does not happen')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  test('answers a client of a dozen lines with each documented answer', async () => {
    const otp = (id: number): string => disk.otps.get(id)!
    const first = twoLines(1, otp(1))
    const lines = new Map(first.split('\n').map((line) => line.split(/=(.*)/, 2) as [string, string]))
    assert.deepEqual(
      [
        lines.get('hostname'),
        lines.get('fleetuser'),
        lines.get('tunnel_port'),
        lines.get('device_public_key'),
      ],
      ['birds-1', 'fleetsie_birds', '20001', loginKey],
    )
    const key = join(server.manager.home, 'device-1')
    writeFileSync(key, lines.get('server_private_key')!.replaceAll(',', '\n'), { mode: 0o600 })
    assert.equal(ssh(key, [birds, 'check']).stdout, 'ok birds-1\n')
    assert.equal(twoLines(1, otp(1)), first)
    assert.equal(twoLines(2, otp(1)), 'Try: 2\n')
    assert.equal(twoLines(2, makeOtp()), 'Bad\n')
    assert.equal(twoLines(1, otp(2)), `Error: hardware id ${hwid(1)} already registered\n`)
    const invalid = here([join(server.manager.home, 'client'), disk.keyFile, 'birds', '192.0.2.1', 'me', 'x'])
    assert.equal(invalid.stdout, 'Error: invalid hardware ID\n')
    const strict = await makeDisk('bees', 1)
    assert.equal(
      twoLines(9, strict.otps.get(1)!, strict, 'bees'),
      'Error: this fleet takes only devices that make their own keys (fleetsie 2)\n',
    )
    const small = await makeDisk('wasps', 1, { serverKeys: true })
    assert.match(twoLines(9, small.otps.get(1)!, small, 'wasps'), /^user_pwd=/)
    assert.equal(twoLines(10, small.otps.get(1)!, small, 'wasps'), 'Full\n')
  })

  test('gives a disk no more than claims', async () => {
    const agent = ['-A', '-X', '-tt']
    const asked: [title: string, more: string[]][] = [
      ['a command', [birds, 'id']],
      ['a shell on a terminal', [...agent, birds]],
      ['sftp', ['-s', birds, 'sftp']],
    ]
    for (const [title, more] of asked) {
      const { stdout } = ssh(disk.keyFile, more, 'id; echo $((6*7))\n')
      assert.ok(['', 'Error\ninvalid hardware ID'].includes(stdout.trim()), title + stdout)
    }
    for (const forward of [
      ['-R', '20001:localhost:22'],
      ['-R', '0:localhost:22'],
      ['-R', '/tmp/socket:localhost:22'],
      ['-w', 'any'],
    ]) {
      const { status, stderr } = ssh(disk.keyFile, ['-N', ...forward, birds])
      assert.equal(status, 255, forward.join(' ') + stderr)
    }
    for (const target of ['localhost:22', 'localhost:10051', '192.0.2.1:22']) {
      assert.match(ssh(disk.keyFile, ['-W', target, birds]).stderr, /administratively prohibited/, target)
    }
  })

  test('takes one claim of a connection', async () => {
    const socket = join(server.manager.home, 'one')
    const [command, args] = server.enter(sshArgv(disk.keyFile, ['-M', '-S', socket, '-T', birds]))
    const first = spawn(command, args, { stdio: ['pipe', 'ignore', 'ignore'] })
    live.push(first)
    await until(() => existsSync(socket))
    const { stderr } = ssh(disk.keyFile, ['-S', socket, '-T', birds], 'x\ny\n')
    assert.match(stderr, /Session open refused by peer/)
    await ends(first)
  })

  test('gives a device its own port and the port of zabbix, and nothing else', async () => {
    const [one, two] = [claimed(2), claimed(3)]
    const held = await tunnel(one, ['-R', 'localhost:20002:localhost:22', birds, 'user pi'])
    // The banner of this sshd: the way goes from the reserved port through the tunnel and back.
    const banner = await server.run(['ssh-keyscan', '-p', '20002', '-t', 'ed25519', '127.0.0.1'])
    assert.match(banner.stdout, /ssh-ed25519/)
    const refused: [title: string, key: string, more: string[]][] = [
      ['a second holder of its port', one, ['-R', 'localhost:20002:localhost:22']],
      ['the port of another device', one, ['-R', 'localhost:20003:localhost:22']],
      ['the port of a connected device', two, ['-R', 'localhost:20002:localhost:22']],
      ['any port', one, ['-R', '0:localhost:22']],
      ['its port for everybody', two, ['-R', '0.0.0.0:20003:localhost:22']],
      ['its port for every interface', two, ['-R', '*:20003:localhost:22']],
      ['a port below 1024', one, ['-R', 'localhost:23:localhost:22']],
      ['a socket in the filesystem', two, ['-R', '/tmp/socket:localhost:22']],
      ['a network device', two, ['-w', 'any']],
    ]
    for (const [title, key, more] of refused) {
      const { status, stderr } = ssh(key, ['-N', ...more, birds])
      assert.equal(status, 255, `${title}: ${stderr}`)
      assert.match(stderr, /forward|Tunnel/i, title)
    }
    for (const target of [
      'localhost:22',
      'localhost:20002',
      '127.0.0.1:10051',
      '192.0.2.1:10051',
      '[::1]:22',
    ]) {
      const { stdout, stderr } = ssh(two, ['-W', target, birds])
      assert.match(stdout + stderr, /administratively prohibited/, target)
    }
    // Nothing listens there, but it was allowed to knock.
    assert.match(ssh(two, ['-W', 'localhost:10051', birds]).stderr, /Connection refused/)
    for (const [title, more] of [
      ['a command', [birds, 'id']],
      ['a terminal', ['-tt', birds]],
      ['sftp', ['-s', birds, 'sftp']],
      ['an agent and a display', ['-A', '-X', birds, 'env']],
    ] as const) {
      const { stdout } = ssh(two, more, 'id; env\n')
      assert.equal(stdout, '', title)
    }
    await ends(held)
  })

  test('reaches no socket of the server for a device', async () => {
    const local = join(server.manager.home, 'forwarded')
    const held = await tunnel(join(server.manager.home, 'device-3'), [
      ...['-R', 'localhost:20003:localhost:22', '-L', `${local}:/run/fleetsie-test.sock`, birds, 'user pi'],
    ])
    let said = ''
    held.stderr!.on('data', (text: string) => {
      said += text
    })
    const asked = connect(local).on('error', () => {})
    await until(() => /open failed/.test(said))
    asked.destroy()
    await until(() => /refused streamlocal port forward/.test(server.sshdLog()))
    await ends(held)
  })

  test('shows who is connected, for as long as they are', async () => {
    const key = join(server.manager.home, 'device-2')
    const forward = ['-R', 'localhost:20002:localhost:22', birds, 'user pi']
    const held = await tunnel(key, forward)
    await until(() => existsSync(presence('.birds-2')))
    await until(() => readlinkSync(presence('birds-2')) === '20002')
    assert.match(
      readFileSync(presence('.birds-2'), 'utf8'),
      /^pid \d+\nuser pi\nip 192\.0\.2\.1\nsince \d+\n$/,
    )
    const mode = await server.does('stat', '-c', '%U:%G %a', '/run/fleetsie/dev/birds/.birds-2')
    assert.equal(mode, 'fleetsie_birds:fleetsie 640\n')
    await ends(held)
    await until(() => !existsSync(presence('.birds-2')))
    // A client that dies without a word.
    const killed = await tunnel(key, forward)
    await until(() => existsSync(presence('.birds-2')))
    killed.kill('SIGKILL')
    await until(() => !existsSync(presence('.birds-2')))
    await until(() => /birds-2 @ 192\.0\.2\.1: disconnected/.test(server.sshdLog()))
    assert.match(server.sshdLog(), /birds-2 @ 192\.0\.2\.1: connected/)
  })

  test('writes who claimed what into its log, without a password or key', () => {
    const log = server.sshdLog()
    const line = `fleet=birds lot=${disk.lot} hwid=${hwid(2)} ip=192.0.2.1 answer=`
    for (const answer of ['Ok birds-2', 'Try 2', 'Bad']) assert.ok(log.includes(line + answer), answer)
    for (const otp of disk.otps.values()) assert.ok(!log.includes(otp.slice(0, 20)))
    assert.doesNotMatch(log, /PRIVATE KEY/)
  })

  test('refuses a disk that has expired, and lets in no key of one that was revoked', async () => {
    const lost = await makeDisk('birds', 1)
    const [[id, otp] = [0, '']] = lost.otps
    const said = (): Result => ssh(lost.keyFile, ['-T', birds], ourForm(77, otp, publicOf(disk.keyFile)))
    const fleet = '/home/fleetsie/fleets/birds/fleet.sqlite'
    const set = (expires: string): Promise<string> =>
      server.does('sqlite3', fleet, `UPDATE lots SET ts_expires = ${expires} WHERE lot = '${lost.lot}'`)
    await set('1000000000')
    assert.equal(said().stdout, 'Error\nthis disk has expired\n')
    await set('NULL')
    assert.equal(said().stdout, 'Error\nthe key of a disk cannot be the key of a device\n')
    ask({ do: 'revoke', fleet: 'birds', lot: lost.lot })
    assert.match(said().stderr, /Permission denied/)
    // The other disk goes on, and what the lost one held can be given to another.
    assert.equal(twoLines(77, otp), id > 0 ? 'Bad\n' : '')
  })
})
