import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { applyValues, checkValues } from '../../../../lib/images/values/apply-values.ts'
import { readSets, valuesOfSets } from '../../../../lib/images/values/sets.ts'
import type { DeviceValues } from '../../../../lib/images/values/types.ts'
import { missing, tool } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { debianFiles, piFiles, RootDisk } from '../../../helpers/root-disks.ts'

const skip = missing('debugfs', 'mke2fs', 'mkfs.fat', 'mcopy', 'openssl', 'ssh-keygen', 'pwck')

const disks: RootDisk[] = []
after(() => {
  for (const disk of disks) disk.remove()
})

async function make(...given: Parameters<typeof RootDisk.make>): Promise<RootDisk> {
  const disk = await RootDisk.make(...given)
  disks.push(disk)
  return disk
}

async function values(...sets: string[]): Promise<DeviceValues> {
  return valuesOfSets(await readSets(sets, { cwd: '/', stdin: emptyStdin() }))
}

async function* emptyStdin(): AsyncGenerator<Buffer> {}

async function apply(disk: RootDisk, ...sets: string[]): Promise<void> {
  await applyValues({
    run: disk.run,
    volumes: disk.volumes,
    values: await values(...sets),
    epoch: 1_700_000_000,
  })
  disk.assertSound()
}

function newKey(disk: RootDisk, comment: string): string {
  const file = join(disk.folder, 'key')
  tool('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', file])
  return readFileSync(`${file}.pub`, 'utf8').trim()
}

test('Debian gets a name, a user with password and key, and a time zone', { skip }, async () => {
  const disk = await make(debianFiles)
  const key = newKey(disk, 'a "comment" $with; `signs` é')
  await apply(
    disk,
    'hostname=pi-7',
    'user=anna',
    'password=pä$$ "word\\',
    `ssh-key=${key}`,
    'timezone=America/Halifax',
  )
  assert.equal(disk.cat('etc/hostname'), 'pi-7\n')
  assert.equal(disk.cat('etc/hosts'), '127.0.0.1\tlocalhost\n127.0.1.1\tpi-7 gateway\n::1\tlocalhost\n')
  assert.equal(disk.stat('etc/localtime').target, '/usr/share/zoneinfo/America/Halifax')
  assert.equal(disk.cat('etc/timezone'), 'America/Halifax\n')
  assert.match(disk.cat('etc/passwd'), /^anna:x:1000:1000::\/home\/anna:\/bin\/bash$/m)
  assert.match(disk.cat('etc/group'), /^sudo:x:27:anna$/m)
  assert.equal(disk.stat('etc/shadow').mode, '0640')
  assert.deepEqual(disk.stat('home/anna'), {
    type: 'directory',
    mode: '0750',
    owner: '1000:1000',
    target: undefined,
  })
  assert.equal(disk.cat('home/anna/.profile'), '# of the image\n')
  assert.equal(disk.stat('home/anna/.ssh').mode, '0700')
  assert.deepEqual(disk.stat('home/anna/.ssh/authorized_keys'), {
    type: 'regular',
    mode: '0600',
    owner: '1000:1000',
    target: undefined,
  })
  assert.equal(disk.cat('home/anna/.ssh/authorized_keys'), `${key}\n`)
  assert.equal(
    disk.stat('etc/systemd/system/multi-user.target.wants/ssh.service').target,
    '/usr/lib/systemd/system/ssh.service',
  )
  const [, method, salt] = /^anna:(\$6\$([^$]+)\$[^:]+):19675:/m.exec(disk.cat('etc/shadow')) ?? []
  assert.equal(
    tool('openssl', ['passwd', '-6', '-salt', salt!, '-stdin'], 'pä$$ "word\\\n').trim(),
    method,
    'the password logs in',
  )
})

test('shadow-utils finds nothing wrong with the accounts', { skip: needsRoot || skip }, async () => {
  const disk = await make(debianFiles)
  await apply(disk, 'user=anna', 'password=correct horse')
  const root = join(disk.folder, 'root')
  mkdirSync(join(root, 'etc'), { recursive: true })
  for (const name of ['passwd', 'shadow', 'group', 'gshadow']) {
    writeFileSync(join(root, 'etc', name), disk.cat(`etc/${name}`))
  }
  // It misses the homes of the image's own accounts in this folder, and says nothing else.
  for (const program of ['pwck', 'grpck']) {
    const said = judge(program, root)
    const faults = said
      .split('\n')
      .filter((line) => line !== '' && !/directory .* does not exist|no changes|program/.test(line))
    assert.deepEqual(faults, [])
  }
})

function judge(program: string, root: string): string {
  try {
    return tool(program, ['-r', '-R', root])
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    return `${stdout ?? ''}${stderr ?? ''}`
  }
}

test('a second time, nothing is there twice', { skip }, async () => {
  const disk = await make(debianFiles)
  const key = newKey(disk, 'x')
  const sets = ['hostname=a.example', 'user=anna', `ssh-key=${key}`]
  await apply(disk, ...sets)
  const first = ['etc/hosts', 'etc/passwd', 'etc/group', 'home/anna/.ssh/authorized_keys'].map((path) =>
    disk.cat(path),
  )
  await apply(disk, ...sets)
  const second = ['etc/hosts', 'etc/passwd', 'etc/group', 'home/anna/.ssh/authorized_keys'].map((path) =>
    disk.cat(path),
  )
  assert.deepEqual(second, first)
  assert.match(first[0]!, /^127\.0\.1\.1\ta\.example a gateway$/m)
})

test('without a user, key and password are those of uid 1000, else of root', { skip }, async () => {
  const disk = await make(debianFiles)
  const key = newKey(disk, 'x')
  await apply(disk, `ssh-key=${key}`, 'password=secret word')
  assert.equal(disk.cat('root/.ssh/authorized_keys'), `${key}\n`)
  assert.match(disk.cat('etc/shadow'), /^root:\$6\$/m)
  assert.equal(disk.stat('root').mode, '0700')
})

test('Raspberry Pi OS gets userconf.txt, a key for who is renamed, and Wi-Fi that is allowed to be on', {
  skip,
}, async () => {
  const disk = await make(piFiles, { 'cmdline.txt': 'console=tty1 root=PARTUUID=1234abcd-02 quiet\n' })
  const key = newKey(disk, 'x')
  await apply(
    disk,
    'user=anna',
    'password=secret word',
    `ssh-key=${key}`,
    'wifi-ssid=home net',
    'wifi-password=12345678',
    'wifi-country=ca',
  )
  assert.match(disk.fat('userconf.txt'), /^anna:\$6\$[^:\n]+\n$/)
  assert.match(disk.cat('etc/passwd'), /^pi:x:1000/m)
  assert.equal(disk.cat('home/pi/.ssh/authorized_keys'), `${key}\n`)
  assert.equal(disk.stat('home/pi/.ssh').owner, '1000:1000')
  assert.equal(
    disk.fat('cmdline.txt'),
    'console=tty1 root=PARTUUID=1234abcd-02 quiet cfg80211.ieee80211_regdom=CA\n',
  )
  assert.equal(disk.cat('var/lib/NetworkManager/NetworkManager.state'), '[main]\nWirelessEnabled=true\n')
  assert.equal(disk.cat('var/lib/systemd/rfkill/platform-fe300000.mmcnr:wlan'), '0\n')
  const connection = 'etc/NetworkManager/system-connections/fleetsie-wifi.nmconnection'
  assert.deepEqual(disk.stat(connection), { type: 'regular', mode: '0600', owner: '0:0', target: undefined })
  assert.match(disk.cat(connection), /^ssid=home net$/m)
})

const networkd = {
  ...debianFiles,
  'usr/sbin/wpa_supplicant': '',
  'usr/lib/systemd/system/wpa_supplicant@.service': '',
  'etc/systemd/system/multi-user.target.wants/systemd-networkd.service': '',
}
const ifupdown = {
  ...debianFiles,
  'usr/sbin/wpa_supplicant': '',
  'usr/sbin/ifup': '',
  'etc/network/interfaces': 'source /etc/network/interfaces.d/*\n',
  'etc/systemd/system/multi-user.target.wants/networking.service': '',
}
const netplan = {
  ...debianFiles,
  'usr/sbin/wpa_supplicant': '',
  'usr/sbin/netplan': '',
  'etc/netplan/50-cloud-init.yaml': '',
  'etc/systemd/system/multi-user.target.wants/systemd-networkd.service': '',
}
for (const { title, root, path } of [
  { title: 'systemd-networkd', root: networkd, path: 'etc/wpa_supplicant/wpa_supplicant-wlan0.conf' },
  { title: 'ifupdown', root: ifupdown, path: 'etc/wpa_supplicant/wpa_supplicant-wlan0.conf' },
  { title: 'netplan', root: netplan, path: 'etc/netplan/90-fleetsie-wifi.yaml' },
]) {
  test(`an image with ${title} joins Wi-Fi by it, and only root can read how`, { skip }, async () => {
    const disk = await make(root)
    await apply(disk, 'wifi-ssid=net', 'wifi-password=12345678', 'wifi-country=CA')
    assert.equal(disk.stat(path).mode, '0600')
    assert.match(disk.cat(path), /12345678/)
    assert.match(disk.cat('etc/systemd/network/10-fleetsie-wifi.link'), /Name=wlan0/)
    assert.equal(
      disk.cat('etc/modprobe.d/fleetsie-wifi-country.conf'),
      'options cfg80211 ieee80211_regdom=CA\n',
    )
    if (title !== 'systemd-networkd') return
    assert.equal(
      disk.stat('etc/systemd/system/multi-user.target.wants/wpa_supplicant@wlan0.service').target,
      '/usr/lib/systemd/system/wpa_supplicant@.service',
    )
  })
}

for (const { title, root, sets, message } of [
  {
    title: 'Wi-Fi without wpa_supplicant',
    root: { ...networkd, 'usr/sbin/wpa_supplicant': undefined },
    sets: ['wifi-ssid=x', 'wifi-password=12345678'],
    message: /no wpa_supplicant/,
  },
  {
    title: 'Wi-Fi without anything that would join',
    root: debianFiles,
    sets: ['wifi-ssid=x'],
    message: /nothing on the image/,
  },
  {
    title: 'Wi-Fi on a Raspberry Pi without a country',
    root: piFiles,
    sets: ['wifi-ssid=x'],
    message: /until it knows the country/,
  },
  {
    title: 'a user on a Raspberry Pi whose boot partition is not written',
    root: piFiles,
    sets: ['user=anna'],
    message: /boot partition/,
  },
  {
    title: 'a key without an ssh server',
    root: { ...debianFiles, 'usr/sbin/sshd': undefined },
    sets: ['ssh-key=KEY'],
    message: /no ssh server/,
  },
  {
    title: 'a user who is one of the system',
    root: debianFiles,
    sets: ['user=daemon'],
    message: /account of the image's system/,
  },
  {
    title: 'a time zone that is not there',
    root: debianFiles,
    sets: ['timezone=Europe/Atlantis'],
    message: /no time zone/,
  },
  {
    title: 'no root filesystem',
    root: { 'etc/shadow': '' },
    sets: ['hostname=x'],
    message: /no partition holds an os-release/,
  },
]) {
  test(`refused before anything is written: ${title}`, { skip }, async () => {
    const files = Object.fromEntries(
      Object.entries(root).filter((pair): pair is [string, string] => pair[1] !== undefined),
    )
    const disk = await make(files)
    const key = newKey(disk, 'x')
    const given = await values(...sets.map((set) => set.replace('KEY', key)))
    const before = disk.bytes()
    assert.throws(() => checkValues(disk.volumes, given), { code: 'E_INPUT', message })
    await assert.rejects(applyValues({ run: disk.run, volumes: disk.volumes, values: given }), {
      code: 'E_INPUT',
      message,
    })
    assert.ok(disk.bytes().equals(before))
  })
}

test('what was touched is told, and nothing else has changed', { skip }, async () => {
  const disk = await make(debianFiles)
  const before = disk.bytes()
  const touched = await applyValues({
    run: disk.run,
    volumes: disk.volumes,
    values: await values('hostname=pi-8'),
  })
  const bytes = disk.bytes()
  assert.equal(touched.length, 1)
  assert.equal(touched[0]!.path, disk.path)
  for (const { offset, length } of touched[0]!.ranges) before.copy(bytes, offset, offset, offset + length)
  assert.ok(bytes.equals(before))
  assert.ok(touched[0]!.ranges.length > 0)
  assert.equal(statSync(disk.path).size, before.length)
})
