import assert from 'node:assert/strict'
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { after, test } from 'node:test'
import { volumesOnCard } from '../../../../lib/images/values/card-volumes.ts'
import { claimedIdentity } from '../../../../lib/images/values/claimed-identity.ts'
import { missing, TestDisk } from '../../../helpers/disks.ts'
import { Random } from '../../../helpers/random.ts'
import { debianFiles, piFiles, RootDisk } from '../../../helpers/root-disks.ts'

const skip = missing('debugfs', 'mke2fs', 'mkfs.fat')
const disks: TestDisk[] = []
after(() => {
  for (const disk of disks) disk.remove()
})
async function make(files: Record<string, string>): Promise<RootDisk> {
  const disk = await RootDisk.make(files)
  disks.push(disk)
  return disk
}

const id = '0123456789abcdef0123456789abcdef'
const keys = {
  'etc/ssh/ssh_host_ed25519_key': 'x',
  'etc/ssh/ssh_host_ed25519_key.pub': 'x',
  'etc/ssh/ssh_host_rsa_key': 'x',
}

for (const { title, files, is } of [
  { title: 'a fresh image is nobody', files: debianFiles, is: undefined },
  {
    title: 'nor is one that systemd calls uninitialized',
    files: { ...debianFiles, 'etc/machine-id': 'uninitialized\n' },
    is: undefined,
  },
  {
    title: 'another name than the image has',
    files: { ...debianFiles, 'etc/hostname': 'pi-7\n' },
    is: { hostname: 'pi-7', sshHostKeys: 0, claimed: false, described: '"pi-7"' },
  },
  {
    title: 'one that has booted',
    files: { ...debianFiles, ...keys, 'etc/machine-id': `${id}\n` },
    is: {
      hostname: 'debian',
      machineId: id,
      sshHostKeys: 2,
      claimed: false,
      described: '"debian" (machine-id 01234567…; 2 ssh host keys)',
    },
  },
  {
    title: 'one that a fleet has claimed',
    files: {
      ...piFiles,
      'etc/hostname': 'lake-3\n',
      'home/pi/.ssh/fleetsie': 'KEY',
      'opt/fleetsie/fleet_extra': '',
    },
    is: { hostname: 'lake-3', sshHostKeys: 0, claimed: true, described: '"lake-3" (claimed)' },
  },
]) {
  test(title, { skip }, async () => {
    assert.deepEqual(await claimedIdentity((await make(files)).volumes, async () => 'debian'), is)
  })
}

test('the port of the tunnel is where a link leads, which leads nowhere', { skip }, async () => {
  const disk = await make(piFiles)
  disk.change(['mkdir /home/pi/.ssh', 'symlink /home/pi/.ssh/fleetsie_tunnel_port 20017'])
  const found = await claimedIdentity(disk.volumes)
  assert.equal(found?.tunnelPort, 20_017)
  assert.equal(found?.claimed, true)
})

test('a card may hold anything: no table, one filesystem, noise', { skip }, async () => {
  const empty = new TestDisk(1024 * 1024)
  disks.push(empty)
  assert.deepEqual(await volumesOnCard(empty.path), [])
  const disk = await make({ ...debianFiles, 'etc/machine-id': `${id}\n` })
  const { partition } = disk.volumes[1]!
  const alone = new TestDisk(0)
  disks.push(alone)
  writeFileSync(alone.path, disk.bytes().subarray(partition.offset))
  const [volume] = await volumesOnCard(alone.path, 2)
  assert.deepEqual(
    [volume?.partition.number, volume?.partition.offset, volume?.partition.filesystem],
    [2, 0, 'ext4'],
  )
  assert.equal((await claimedIdentity([volume!]))?.machineId, id)
  assert.deepEqual(await volumesOnCard('/does/not/exist'), [])
})

test('whatever is damaged, it answers', { skip, timeout: 60_000 }, async () => {
  const disk = await make({ ...debianFiles, ...keys, 'etc/machine-id': `${id}\n` })
  const sound = disk.bytes()
  const random = new Random('damage')
  const fd = openSync(disk.path, 'r+')
  try {
    for (let round = 0; round < 60; round++) {
      // Where the metadata is.
      const at = 9 * 1024 * 1024 + 1024 + random.int(0, 700) * 4096
      writeSync(fd, Buffer.from(Array.from({ length: 4096 }, () => random.int(0, 255))), 0, 4096, at)
      await claimedIdentity(await volumesOnCard(disk.path), async () => 'debian')
      await claimedIdentity(disk.volumes, async () => 'debian')
      if (random.chance(0.5)) writeSync(fd, sound, at, 4096, at)
    }
  } finally {
    closeSync(fd)
  }
})
