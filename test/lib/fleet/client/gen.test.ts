import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { knownFleets } from '../../../../lib/fleet/client/fleet-folder.ts'
import { zipPlace } from '../../../../lib/fleet/disk/zip.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { Desk, hostnames, skip, sqlite } from './desk.ts'

const top = mkdtempSync(join(tmpdir(), 'fleetsie-gen-'))
after(() => rmSync(top, { recursive: true, force: true }))

describe('gen makes a disk', { skip }, () => {
  test('in a folder: the documented names, which real tools read', async () => {
    const desk = new Desk(top)
    const outcome = await desk.gen(3, desk.disk)
    assert.deepEqual(hostnames(outcome), ['hull-1', 'hull-2', 'hull-3'])
    assert.deepEqual(readdirSync(desk.at('.')).sort(), [
      ...['customize', 'devices.sqlite', 'devices.txt', 'fleet.txt', 'fleetsieauth', 'fleetsieauth.pub'],
      ...['ssh-tunnel.service', 'ssh_tunnel.sh', 'wifi.txt'],
    ])
    assert.equal(desk.read('fleet.txt'), 'fleet.example\r\nhull\r\nfleet.example ssh-ed25519 AAAAhost\r\n')
    assert.equal(desk.read('wifi.txt'), 'replace_with_wifi_network_name\r\nreplace_with_wifi_password\r\n')
    assert.equal(desk.read('devices.txt'), `${desk.rows().join('\n')}\n`)
    assert.match(desk.rows()[0]!, /^1 [0-9a-f]{256}$/)
    assert.deepEqual(sqlite(desk.at('devices.sqlite'), '.schema devices'), [
      'CREATE TABLE devices (id_in_fleet INTEGER UNIQUE PRIMARY KEY NOT NULL, otp VARCHAR NOT NULL);',
    ])
    assert.equal(statSync(desk.at('fleetsieauth')).mode & 0o777, 0o600)
    const made = execFileSync('ssh-keygen', ['-y', '-f', desk.at('fleetsieauth')], { encoding: 'utf8' })
    const key = desk.read('fleetsieauth.pub').trim()
    assert.ok(made.startsWith(key))
    const line = `command="/home/fleetsie/fleetsie_auth hull ${outcome.disk!.lot}",restrict ${key} `
    assert.ok(desk.server.keys('hull')[0]!.startsWith(line))
    assert.deepEqual(desk.pending, [])
  })

  test('again with the same disk: same key, same lot, nothing written', async () => {
    const desk = new Desk(top)
    const first = await desk.gen(2, desk.disk)
    const key = desk.read('fleetsieauth')
    const again = await desk.gen(0, desk.disk)
    assert.equal(again.disk!.lot, first.disk!.lot)
    assert.deepEqual(again.disk!.files, [])
    assert.equal(desk.read('fleetsieauth'), key)
    const more = await desk.gen(2, desk.disk)
    assert.deepEqual(hostnames(more), ['hull-3', 'hull-4'])
    assert.equal(desk.rows().length, 4)
    assert.equal(desk.server.keys('hull').length, 1)
  })

  test('numbers go on, without a disk too, and a second disk gets what no other has', async () => {
    const desk = new Desk(top)
    assert.equal(hostnames(await desk.gen(100)).length, 100)
    assert.deepEqual(hostnames(await desk.gen(1)), ['hull-101'])
    const second = join(desk.folder, 'second')
    mkdirSync(second)
    await desk.gen(1, desk.disk)
    await desk.gen(2, second)
    assert.equal(desk.rows().length, 102)
    assert.deepEqual(
      desk.rows(join(second, 'fleetsie/devices.sqlite')).map((row) => row.split(' ')[0]),
      ['103', '104'],
    )
  })

  test("the user's files stay, and what was claimed is told to the server", async () => {
    const desk = new Desk(top)
    await desk.gen(3, desk.disk)
    writeFileSync(desk.at('wifi.txt'), 'home\nword\n')
    writeFileSync(desk.at('customize/setup'), 'echo')
    writeFileSync(desk.at('notes.txt'), 'mine')
    writeFileSync(desk.at('claimed.txt'), '2\n')
    await desk.gen(0, desk.disk)
    assert.deepEqual(desk.server.asked.at(-1)!.disk!.claimed, [2])
    assert.deepEqual(desk.server.asked.at(-1)!.disk!.has, [1, 3])
    assert.equal(desk.read('claimed.txt'), '')
    assert.equal(desk.read('wifi.txt'), 'home\nword\n')
    assert.equal(desk.read('customize/setup'), 'echo')
    assert.equal(desk.read('notes.txt'), 'mine')
  })

  test("of an older version: its names are brought to ours, the user's files kept", async () => {
    const desk = new Desk(top)
    await desk.gen(2, desk.disk)
    const old = (name: string, content: string): void => writeFileSync(desk.at(name), content)
    old('id_ed25519_provision_hull', desk.read('fleetsieauth'))
    old('id_ed25519_provision_hull.pub', desk.read('fleetsieauth.pub'))
    const database = readFileSync(desk.at('devices.sqlite'))
    writeFileSync(desk.at('provisioning.sqlite'), database)
    writeFileSync(desk.at('backup_provisioning.sqlite'), database)
    for (const name of ['fleetsieauth', 'fleetsieauth.pub', 'devices.sqlite', 'devices.txt', 'customize'])
      rmSync(desk.at(name), { recursive: true })
    mkdirSync(desk.at('custom'))
    old('custom/setup', 'echo mine')
    old('password.txt', 'word\r\n')
    old('fleet.txt', 'fleet.example\r\nhull\r\n|1|abc=|def= ssh-ed25519 AAAA\r\n\r\n')
    const lot = (await desk.gen(0, desk.disk)).disk!.lot
    assert.equal(lot, desk.server.asked[0]!.disk!.lot)
    assert.deepEqual(readdirSync(desk.at('.')).sort(), [
      ...['customize', 'devices.sqlite', 'devices.txt', 'fleet.txt', 'fleetsieauth', 'fleetsieauth.pub'],
      ...['password.txt', 'ssh-tunnel.service', 'ssh_tunnel.sh', 'wifi.txt'],
    ])
    assert.equal(desk.read('customize/setup'), 'echo mine')
    assert.equal(desk.rows().length, 2)
  })

  test('an older folder with packages keeps its name, by which devices install them', async () => {
    const desk = new Desk(top)
    mkdirSync(desk.at('custom/packages'), { recursive: true })
    await desk.gen(1, desk.disk)
    assert.deepEqual(readdirSync(desk.at('custom')), ['packages'])
    assert.deepEqual(readdirSync(desk.at('customize')), [])
  })

  test('a name that has no device, mistyped perhaps, is not kept for other verbs', async () => {
    const desk = new Desk(top)
    await desk.gen(0, desk.disk, 'hlul')
    assert.deepEqual(await knownFleets(desk.env), [])
    await desk.gen(1)
    assert.deepEqual(await knownFleets(desk.env), [{ fleet: 'hull', host: 'fleet.example' }])
  })

  test('clocks that are ten years apart are told, or refused before anything is allocated', async () => {
    const desk = new Desk(top)
    desk.server.ahead = -10 * 365 * 86_400
    assert.deepEqual(hostnames(await desk.gen(1, desk.disk)), ['hull-1'])
    assert.match(desk.warned.join(), /is 3650 days ahead of the server's: disks expire later/)
    desk.server.ahead *= -1
    await assert.rejects(desk.gen(1, desk.disk), {
      code: 'E_INPUT',
      message: /expiry is in the past/,
      hint: /\dZ/,
    })
    assert.deepEqual(desk.allocated(), ['hull-1'])
    assert.deepEqual(desk.pending, [])
  })

  test('a damaged database is made anew, with a warning', async () => {
    const desk = new Desk(top)
    await desk.gen(2, desk.disk)
    truncateSync(desk.at('devices.sqlite'), 100)
    await desk.gen(0, desk.disk)
    assert.equal(desk.rows().length, 2)
    assert.match(desk.warned.join(), /no database of devices/)
  })

  test("another fleet's disk becomes this one's, with a key of its own", async () => {
    const desk = new Desk(top)
    const hull = await desk.gen(2, desk.disk)
    const york = await desk.gen(1, desk.disk, 'york')
    assert.notEqual(york.disk!.lot, hull.disk!.lot)
    assert.equal(desk.rows().length, 1)
    assert.match(desk.warned.join(), /was a disk of hull on fleet\.example: its 2 unclaimed devices/)
    assert.deepEqual(desk.server.asked[1]!.disk!.has, [])
  })
})

describe('gen on other media', { skip }, () => {
  test('a FAT that nobody has mounted: written in place, sound afterwards', async () => {
    const desk = new Desk(top)
    const image = join(desk.folder, 'usb.img')
    writeFileSync(image, '')
    truncateSync(image, 8 * MiB)
    tool('mkfs.fat', [image])
    tool('mcopy', ['-i', image, '-', '::mine.txt'], 'mine')
    const { disk } = await desk.gen(3, './usb.img')
    tool('fsck.fat', ['-n', image])
    const content = (name: string): string => tool('mcopy', ['-i', image, `::${name}`, '-'])
    assert.equal(content('mine.txt'), 'mine')
    assert.match(
      content('fleetsie/fleet.txt'),
      /^fleet\.example\r\nhull\r\nfleet\.example ssh-ed25519 AAAAhost\r\n$/,
    )
    tool('mcopy', ['-i', image, '::fleetsie/devices.sqlite', join(desk.folder, 'copy.sqlite')])
    assert.equal(desk.rows(join(desk.folder, 'copy.sqlite')).length, 3)
    tool('mcopy', ['-o', '-i', image, '-', '::fleetsie/claimed.txt'], '1\n')
    tool('mdel', ['-i', image, '::fleetsie/wifi.txt'])
    tool('mcopy', ['-i', image, '-', '::fleetsie/WIFI.TXT'], 'mine\r\n')
    const again = await desk.gen(1, './usb.img')
    assert.equal(again.disk!.lot, disk!.lot)
    assert.deepEqual(desk.server.asked[1]!.disk!.claimed, [1])
    assert.equal(content('fleetsie/wifi.txt'), 'mine\r\n', "FAT knows no case: it is the user's")
    tool('fsck.fat', ['-n', image])
  })

  test('a zip of the same tree, for its owner alone, and again of the same lot', async () => {
    const desk = new Desk(top)
    const file = join(desk.folder, 'hull_files_for_usb_disk.zip')
    const first = await desk.gen(2, await zipPlace(file, undefined))
    assert.equal(statSync(file).mode & 0o777, 0o600)
    tool('unzip', ['-q', file, '-d', desk.disk])
    assert.equal(desk.rows().length, 2)
    assert.equal(statSync(desk.at('ssh_tunnel.sh')).mode & 0o777, 0o700)
    assert.equal((await desk.gen(0, await zipPlace(file, undefined))).disk!.lot, first.disk!.lot)
  })

  test('a disk that another gen is writing is refused, by whatever name, until that one has ended', async () => {
    const desk = new Desk(top)
    const image = join(desk.folder, 'usb.img')
    writeFileSync(image, '')
    truncateSync(image, 8 * MiB)
    tool('mkfs.fat', [image])
    symlinkSync(desk.disk, join(desk.folder, 'stick'))
    for (const [name, other] of [
      [desk.disk, join(desk.folder, 'stick')],
      ['./usb.img', `../${basename(desk.folder)}/usb.img`],
    ] as const) {
      const first = await desk.find(name)
      await assert.rejects(desk.gen(1, other), { code: 'E_UNSAFE', message: /^another gen is writing / })
      await first.close()
      await desk.gen(1, other)
    }
    assert.equal(desk.server.asked.length, 2)
  })

  const refused: [string, (desk: Desk) => string, string][] = [
    ['a folder that is not there', (desk) => join(desk.folder, 'none'), 'E_INPUT'],
    ['a file in the place of a folder', (desk) => write(join(desk.folder, 'file')), 'E_INPUT'],
    ['a device named as a folder', () => '/dev/null', 'E_INPUT'],
    ['a name that is no partition', () => 'sdz9', 'E_INPUT'],
    ['an empty file', (desk) => `./${basename(write(join(desk.folder, 'empty.img')))}`, 'E_INPUT'],
  ]
  for (const [what, name, code] of refused) {
    test(`${what} is refused before the server is asked`, async () => {
      const desk = new Desk(top)
      await assert.rejects(desk.gen(1, name(desk)), { code, exitCode: 1 })
      assert.equal(desk.server.connections, 0)
    })
  }

  test('a file with partitions is refused, and nobody is told to make a filesystem over them', async () => {
    const desk = new Desk(top)
    const image = join(desk.folder, 'disk.img')
    writeFileSync(image, '')
    truncateSync(image, 8 * MiB)
    execFileSync('sfdisk', ['-q', image], { input: 'label: dos\n,4M\n,,c\n' })
    const name = './disk.img'
    await assert.rejects(desk.find(name), { code: 'E_INPUT', hint: /^it has partitions, which `losetup/ })
  })

  test("a device that is root's is refused as that, and not as empty", { skip: needsRoot }, async () => {
    const desk = new Desk(top)
    const image = join(desk.folder, 'usb.img')
    writeFileSync(image, '')
    truncateSync(image, 8 * MiB)
    tool('mkfs.fat', [image])
    const loop = tool('losetup', ['-f', '--show', image]).trim()
    const { mode } = statSync(loop)
    try {
      chmodSync(loop, 0o600)
      process.seteuid!(1000)
      await assert.rejects(desk.find(basename(loop)), { code: 'E_RIGHTS', hint: /^use sudo/ })
    } finally {
      process.seteuid!(0)
      chmodSync(loop, mode)
      tool('losetup', ['-d', loop])
    }
  })

  test('a link where the folder belongs is not followed', async () => {
    const desk = new Desk(top)
    execFileSync('ln', ['-s', '/tmp', join(desk.disk, 'fleetsie')])
    await assert.rejects(desk.gen(1, desk.disk), { code: 'E_INPUT' })
  })

  test('a disk without room is refused before anything is allocated', async () => {
    const desk = new Desk(top)
    const image = join(desk.folder, 'small.img')
    writeFileSync(image, '')
    truncateSync(image, 256 * 1024)
    tool('mkfs.fat', [image])
    await assert.rejects(desk.gen(500, './small.img'), { code: 'E_INPUT', message: /bytes free/ })
    assert.equal(desk.server.asked.length, 0)
  })
})

function write(path: string): string {
  writeFileSync(path, '')
  return path
}
