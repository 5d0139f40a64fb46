/** `gen` against a server that `srv` has set up: real sshd, real databases, and the disk's key tried by OpenSSH's ssh. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { blankCard, loopDevice } from '../helpers/cards.ts'
import { MiB, tool } from '../helpers/disks.ts'
import { FleetServer } from '../helpers/fleet-server.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import type { Ended } from '../helpers/npm-project.ts'
import { fleetsiePassword, type Ran, SrvProgram } from '../helpers/srv.ts'

const skip =
  needsRoot ||
  needs('mmdebstrap', 'unshare', 'nsenter', 'ip', 'flock', 'script', 'sqlite3', 'mcopy', 'losetup')
const place = 'fleet.example'

describe('gen', { skip }, () => {
  const top = mkdtempSync(join(tmpdir(), 'fleetsie-gen-e2e-'))
  let program: SrvProgram
  let server: FleetServer

  before(async () => {
    // What srv downloads, it finds in the store: the server's network has no way out.
    process.env['FLEETSIE_TEST_SHARED'] ??= folder('shared')
    program = await SrvProgram.make()
    server = await FleetServer.start()
    const { code, stdout, screen } = await program.ask(server, [`root@${place}`])
    assert.equal(code, 0, stdout + screen)
  })
  after(async () => {
    await server?.stop()
    await program?.remove()
    rmSync(top, { recursive: true, force: true })
  })

  /** As a manager types it. It is killed after the first event for which `hear` is true, with --json. */
  const gen = (args: readonly string[], hear?: (event: BuildEvent) => boolean): Promise<Ran> =>
    program.run(server, args, { verb: 'gen', cwd: top, ...(hear && { killAfter: hear }) })

  const generated = ({ stdout }: Ended): string[] =>
    [...stdout.matchAll(/^Generated device (.*)$/gm)].map((found) => found[1]!)
  const folder = (name: string): string => {
    const path = join(top, name)
    mkdirSync(path)
    return path
  }
  const rows = (file: string): string[] =>
    tool('sqlite3', [file, 'SELECT id_in_fleet FROM devices ORDER BY id_in_fleet']).split('\n').slice(0, -1)
  const onServer = async (file: string, sql: string): Promise<string[]> =>
    (await server.does('sqlite3', `/home/fleetsie/${file}`, sql)).split('\n').slice(0, -1)
  const allocated = (fleet: string): Promise<string[]> =>
    onServer('fleets.sqlite', `SELECT hostname FROM devices WHERE fleet = '${fleet}' ORDER BY id_in_fleet`)

  test('fleet and host alone try the login and change nothing', async () => {
    const { code, stdout, stderr } = await gen(['hull', place])
    assert.equal(code, 0, stdout + stderr)
    assert.match(stdout, /^logging in to fleetsie@fleet\.example works; its host key is SHA256:/)
    assert.deepEqual(await onServer('fleets.sqlite', 'SELECT count(*) FROM devices'), ['0'])
    assert.ok(!existsSync(join(server.manager.home, '.config/fleetsie/fleets')))
  })

  test('wrong arguments are exit code 1 before anything is asked of the server', async () => {
    for (const args of [
      ['hull-1', place, '1'],
      ['hull', place, '1', join(top, 'none')],
      ['hull', place, 'sdz9'],
    ]) {
      const { code, stdout } = await gen(args)
      assert.equal(code, 1, `${args.join(' ')}: ${stdout}`)
    }
    assert.deepEqual(await onServer('fleets.sqlite', 'SELECT count(*) FROM devices'), ['0'])
  })

  test('100 devices, then hull-101; NUM 0 and a folder hold all that nobody has claimed', async () => {
    const first = await gen(['hull', place, '100'])
    assert.equal(first.code, 0, first.stdout + first.stderr)
    assert.equal(generated(first).length, 100)
    assert.equal(generated(first)[99], 'hull-100')
    const disk = folder('disk')
    const next = await gen(['hull', place, '1', disk])
    assert.equal(next.code, 0, next.stdout + next.stderr)
    assert.deepEqual(generated(next), ['hull-101'])
    assert.equal(rows(join(disk, 'fleetsie/devices.sqlite')).length, 101)
    const all = folder('all')
    const none = await gen(['hull', place, '0', all])
    assert.deepEqual([none.code, generated(none)], [0, []])
    assert.equal(rows(join(all, 'fleetsie/devices.sqlite')).length, 101)
    assert.deepEqual(await onServer('fleets/hull/provisioning.sqlite', 'SELECT count(*) FROM devices'), [
      '101',
    ])
    const ports = await onServer('fleets.sqlite', 'SELECT min(tunnel_port), max(tunnel_port) FROM devices')
    assert.deepEqual(ports, ['20001|20101'])
  })

  test("the disk's key claims a device over ssh, which believes the third line of fleet.txt alone", async () => {
    const at = join(top, 'disk/fleetsie')
    const [host, fleet, known] = readFileSync(join(at, 'fleet.txt'), 'utf8').split('\r\n')
    assert.deepEqual([host, fleet], [place, 'hull'])
    writeFileSync(join(top, 'known_hosts'), `${known}\n`)
    const [, otp] = readFileSync(join(at, 'devices.txt'), 'utf8').split('\n')[0]!.split(' ')
    tool('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(top, 'device')])
    const key = readFileSync(join(top, 'device.pub'), 'utf8').split(' ').slice(0, 2).join(' ')
    const argv = [
      'ssh',
      '-T',
      '-i',
      join(at, 'fleetsieauth'),
      '-o',
      'IdentitiesOnly=yes',
      '-o',
      'BatchMode=yes',
    ]
    const trust = ['-o', `UserKnownHostsFile=${join(top, 'known_hosts')}`, '-o', 'StrictHostKeyChecking=yes']
    const [command, args] = server.enter([...argv, ...trust, `fleetsie_${fleet}@${host}`])
    const input = `fleetsie 2\nhwid: 02:00:00:00:00:01\notp: ${otp}\nkey: ${key}\n\n`
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', input })
    assert.deepEqual(
      stdout.split('\n').slice(0, 6),
      ['Ok', '', '', 'hull-1', 'fleetsie_hull', '20001'],
      stderr,
    )
  })

  test('the next gen tells Main who is registered, and takes the device off the disk', async () => {
    writeFileSync(join(top, 'disk/fleetsie/claimed.txt'), '1\n')
    const { code, stdout, stderr } = await gen(['hull', place, '0', join(top, 'disk')])
    assert.equal(code, 0, stdout + stderr)
    assert.deepEqual(await onServer('fleets.sqlite', 'SELECT hostname FROM devices WHERE hwid IS NOT NULL'), [
      'hull-1',
    ])
    assert.equal(rows(join(top, 'disk/fleetsie/devices.sqlite'))[0], '2')
    assert.equal(readFileSync(join(top, 'disk/fleetsie/claimed.txt'), 'utf8'), '')
  })

  for (const [type, make, read] of [
    ['vfat', ['mkfs.fat'], fromFat],
    ['ext4', ['mke2fs', '-q', '-t', 'ext4'], fromExt],
  ] as const) {
    test(`a partition, as its name: a loop device with ${type}`, async (t) => {
      const image = blankCard(join(top, `${type}.img`), 16 * MiB)
      tool(make[0], [...make.slice(1), image])
      const device = loopDevice((undo) => t.after(undo), image)
      for (const expected of [['york-1', 'york-2'], []].slice(type === 'vfat' ? 0 : 1)) {
        const num = type === 'vfat' && expected.length > 0 ? ['2'] : []
        const ended = await gen(['york', place, ...num, basename(device)])
        assert.equal(ended.code, 0, ended.stdout + ended.stderr)
        assert.deepEqual(generated(ended), expected)
      }
      tool(type === 'vfat' ? 'fsck.fat' : 'e2fsck', [type === 'vfat' ? '-n' : '-fn', device])
      assert.match(read(image, 'fleet.txt'), /^fleet\.example\r\nyork\r\nfleet\.example (ssh-ed25519|ecdsa-)/)
      assert.equal(read(image, 'devices.txt').split('\n').length, 3)
      assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes('fleetsie-disk-'))
    })
  }

  test('--zip writes FLEET_files_for_usb_disk.zip here, for its owner alone', async () => {
    const { code, stdout, stderr } = await gen(['york', place, '--zip'])
    assert.equal(code, 0, stdout + stderr)
    const file = join(top, 'york_files_for_usb_disk.zip')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.match(stderr, /whoever has \S+\.zip can claim its devices/)
    assert.match(tool('unzip', ['-l', file]), /fleetsie\/fleetsieauth\n/)
  })

  test('--server-keys and --no-server-keys say by themselves who may claim, and nothing else changes it', async () => {
    const allowed = (): Promise<string[]> =>
      onServer('fleets.sqlite', "SELECT server_keys FROM fleets WHERE fleet = 'york'")
    for (const [option, expected] of [
      ['--server-keys', '1'],
      ['0', '1'],
      ['--no-server-keys', '0'],
    ] as const) {
      const { code, stdout, stderr } = await gen(['york', place, option])
      assert.equal(code, 0, stdout + stderr)
      assert.deepEqual(await allowed(), [expected], option)
    }
  })

  test('the stages usb-bundle and usb keep a disk, customize and all, without a question', async () => {
    const [project, disk] = [folder('project'), folder('kept')]
    mkdirSync(join(project, 'customize'))
    writeFileSync(join(project, 'customize/setup'), 'echo hello\n', { mode: 0o755 })
    const build = program.command(['--json'], 'build')
    const index = join(build[3]!, '../../index.ts')
    writeFileSync(
      join(project, 'pipeline.mts'),
      `import { pipeline, usb, usbBundle } from ${JSON.stringify(index)}
const bundle = usbBundle({ customize: 'customize' })
await pipeline({ disk: () => usb({ bundle, fleet: 'york', host: '${place}', disk: '${disk}' }) })
`,
    )
    const [command, args] = server.enter(build, { env: program.env })
    for (const written of ['9 files written', '0 files written']) {
      const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', cwd: project })
      assert.equal(status, 0, stdout + stderr)
      assert.match(stdout, new RegExp(`2 unclaimed devices, lot [0-9a-f]{16}; ${written}`))
    }
    assert.equal(readFileSync(join(disk, 'fleetsie/customize/setup'), 'utf8'), 'echo hello\n')
  })

  test('two at once get different devices, and ports that do not suffice allocate nothing', async () => {
    const both = await Promise.all([gen(['york', place, '3']), gen(['york', place, '3'])])
    assert.deepEqual(
      both.map(({ code }) => code),
      [0, 0],
      both.map(({ stderr }) => stderr).join(),
    )
    const names = both.flatMap(generated).sort()
    assert.deepEqual(names, ['york-3', 'york-4', 'york-5', 'york-6', 'york-7', 'york-8'])
    const { code, stderr } = await gen(['york', place, '9999'])
    assert.equal(code, 1, stderr)
    assert.equal((await allocated('york')).length, 8)
  })

  test('killed while the server works, the same command goes on: nothing twice, the disk whole', async () => {
    const disk = folder('cut')
    const args = ['ouse', place, '5', disk]
    const killed = await gen(
      [...args, '--json'],
      (event) => event.type === 'start' && event.stage === 'server',
    )
    assert.equal(killed.code, null)
    const again = await gen(args)
    assert.equal(again.code, 0, again.stdout + again.stderr)
    assert.match(again.stdout, /going on with the call of/)
    assert.equal((await allocated('ouse')).length, 5)
    assert.equal(rows(join(disk, 'fleetsie/devices.sqlite')).length, 5)
    assert.deepEqual(readdirSync(join(server.manager.home, '.local/state/fleetsie/requests')), [])
  })

  test('cut off by the server, it logs in again and sends the same request', async () => {
    let restarted: Promise<void> | undefined
    const disk = folder('broken')
    const ended = await gen(['humber', place, '5', disk, '--json'], (event) => {
      if (event.type === 'start' && event.stage === 'server') restarted ??= server.restartSshd()
      return false
    })
    await restarted
    // The cut may come before the request, in it, or after the answer.
    const result = ended.code === 0 ? ended : await gen(['humber', place, '5', disk])
    assert.equal(result.code, 0, ended.stderr + result.stderr)
    assert.equal((await allocated('humber')).length, 5)
    assert.equal(rows(join(disk, 'fleetsie/devices.sqlite')).length, 5)
  })

  test('secrets are where each belongs, and nowhere else', async () => {
    const at = join(top, 'disk/fleetsie')
    const wifi = 'planted wifi password'
    writeFileSync(join(at, 'wifi.txt'), `net\r\n${wifi}\r\n`)
    const { code, stderr } = await gen(['hull', place, '0', join(top, 'disk')])
    assert.equal(code, 0, stderr)
    const otpIn = (disk: string, id: number): string =>
      readFileSync(join(top, disk, 'fleetsie/devices.txt'), 'utf8').match(
        new RegExp(`^${id} (\\w{256})$`, 'm'),
      )![1]!
    const keyIn = (file: string): string => readFileSync(file, 'utf8').split('\n')[4]!
    const ca = join(server.manager.home, `.config/fleetsie/fleets/hull@${place}/login_ca`)
    const rows: [what: string, word: string, onServer: string[], here: string[]][] = [
      ['an OTP', otpIn('disk', 2), ['/home/fleetsie/fleets/hull/provisioning.sqlite'], []],
      ['an OTP that was used', otpIn('all', 1), [], []],
      ["the disk's key", keyIn(join(at, 'fleetsieauth')), [], []],
      ['the login CA', keyIn(ca), [], [ca]],
      ['the password of fleetsie', fleetsiePassword, [], []],
      ['a wifi password', wifi, [], []],
    ]
    for (const [what, word, onServer, expected] of rows) {
      assert.ok(word.length > 10, what)
      const folders = ['/etc', '/home', '/opt', '/root', '/run', '/tmp', '/var']
      const found = await server.run(['grep', '-rlaF', '--', word, ...folders])
      assert.deepEqual(found.stdout.split('\n').slice(0, -1), onServer, `${what}, on the server`)
      assert.ok(!server.sshdLog().includes(word), what)
      const here = [server.manager.home, program.env['FLEETSIE_STORE']!].filter((path) => existsSync(path))
      const { stdout } = spawnSync('grep', ['-rlaF', '--', word, ...here], { encoding: 'utf8' })
      assert.deepEqual(stdout.split('\n').slice(0, -1), expected, `${what}, on the manager's machine`)
    }
    assert.deepEqual(
      readdirSync('/dev/shm').filter((name) => name.startsWith(`fleetsie-values-`)),
      [],
    )
  })
})

function fromFat(image: string, name: string): string {
  return tool('mcopy', ['-i', image, `::fleetsie/${name}`, '-'])
}

function fromExt(image: string, name: string): string {
  return tool('debugfs', ['-R', `cat /fleetsie/${name}`, image])
}
