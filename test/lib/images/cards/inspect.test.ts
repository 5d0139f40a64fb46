/** A machine made of files: what sysfs and procfs of one with cards in it look like. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { inspectCard } from '../../../../lib/images/cards/inspect.ts'
import { listCards } from '../../../../lib/images/cards/list.ts'
import { refusals, refuse } from '../../../../lib/images/cards/refuse.ts'
import { deviceId } from '../../../../lib/images/devices/sysfs.ts'

const root = mkdtempSync(join(tmpdir(), 'fleetsie-cards-'))
after(() => rmSync(root, { recursive: true, force: true }))
const host = { sys: join(root, 'sys'), proc: join(root, 'proc'), dev: join(root, 'dev') }

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), `${text}\n`)
}

/** A device at a place in the tree, with attributes, as the kernel links it. */
function device(place: string, id: string, attributes: Record<string, string> = {}): void {
  const name = place.split('/').at(-1)!
  const folder = `sys/devices/${place}`
  const standard = { dev: id, size: '62333952', ro: '0', removable: '0' }
  for (const [key, value] of Object.entries({ ...standard, ...attributes })) write(`${folder}/${key}`, value)
  const links = ['sys/dev/block', 'sys/class/block', ...(attributes['partition'] ? [] : ['sys/block'])]
  for (const link of links) {
    mkdirSync(join(root, link), { recursive: true })
    symlinkSync(join(root, folder), join(root, link, link === 'sys/dev/block' ? id : name))
  }
}

function holder(of: string, name: string): void {
  write(`sys/devices/${of}/holders/${name}/x`, '')
}

const usb = 'pci0000:00/usb1/1-2'
const reader = `${usb}/1-2:1.0/host6/target6:0:0/6:0:0:0/block`
device('pci0000:00/ata1/host0/block/sda', '8:0', { 'device/vendor': 'ATA', 'device/model': 'Disk 1' })
device('pci0000:00/ata1/host0/block/sda/sda1', '8:1', { partition: '1' })
device('pci0000:00/ata1/host0/block/sda/sda2', '8:2', { partition: '2' })
device('pci0000:00/ata1/host0/block/sda/sda3', '8:3', { partition: '3' })
device('virtual/block/dm-0', '253:0')
device('virtual/block/dm-1', '253:1')
holder('pci0000:00/ata1/host0/block/sda/sda3', 'dm-0')
holder('virtual/block/dm-0', 'dm-1')
device('pci0000:00/nvme/nvme0/nvme0n1', '259:0', { 'device/model': 'NV 2000', wwid: 'eui.01' })
write(`sys/devices/${usb}/idVendor`, '05e3')
write(`sys/devices/${usb}/serial`, '000000001206')
write(`sys/devices/${usb}/manufacturer`, 'Generic')
device(`${reader}/sdc`, '8:32', {
  removable: '1',
  diskseq: '12',
  'device/vendor': 'Generic',
  'device/model': 'STORAGE DEVICE',
})
device(`${reader}/sdc/sdc1`, '8:33', { partition: '1', size: '524288' })
device(`${reader}/sdc/sdc2`, '8:34', { partition: '2' })
device(`${usb}/1-2:1.1/block/sdd`, '8:48', { removable: '1', size: '0' })
device('platform/emmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0', '179:0', {
  ...{ 'device/type': 'SD', 'device/name': 'SC16G', 'device/manfid': '0x000003', 'device/cid': '03534453' },
})
device('platform/emmc/mmc_host/mmc1/mmc1:0001/block/mmcblk1', '179:8', {
  ...{ 'device/type': 'MMC', 'device/name': 'DG4016', 'device/cid': '45010044' },
})
device('virtual/block/loop0', '7:0', { 'loop/backing_file': '/srv/disk.img' })
device('virtual/block/md0', '9:0')
device(`${usb}/1-3/block/sde`, '8:64', { removable: '1' })
device(`${usb}/1-3/block/sdf`, '8:80', { removable: '1' })
device(`${usb}/1-4/block/sdg`, '8:96', { removable: '1', ro: '1' })
holder(`${usb}/1-3/block/sde`, 'md0')
for (const id of ['8:64', '8:80']) {
  mkdirSync(join(root, 'sys/fs/btrfs/u-u-i-d/devices'), { recursive: true })
  symlinkSync(
    join(root, 'sys/dev/block', id),
    join(root, 'sys/fs/btrfs/u-u-i-d/devices', id.replace(':', '-')),
  )
}
write(
  'proc/self/mountinfo',
  '27 1 253:1 / / rw - ext4 /dev/mapper/root rw\n28 27 8:33 / /media/me/boot\\040fs rw - vfat /dev/sdc1 rw',
)
mkdirSync(join(root, 'proc/self/ns'))
symlinkSync('mnt:[1]', join(root, 'proc/self/ns/mnt'))
write('proc/77/mountinfo', '40 39 179:0 / /data rw - ext4 /dev/mmcblk0 rw')
mkdirSync(join(root, 'proc/77/ns'))
symlinkSync('mnt:[2]', join(root, 'proc/77/ns/mnt'))
write('proc/swaps', 'Filename Type Size Used Priority')

const names = async (): Promise<Map<string, Awaited<ReturnType<typeof listCards>>[number]>> =>
  new Map((await listCards(host)).map((card) => [card.name, card]))

describe('what is told of a device', () => {
  test('an SD card in a slot has a number of its own, a card in a USB reader has the reader’s', async () => {
    const cards = await names()
    const pick = ({ transport, vendor, model, serial, serialIsUnique, removable }: never): unknown[] => [
      ...[transport, vendor, model, serial, serialIsUnique, removable],
    ]
    const told = (name: string) => pick(cards.get(name) as never)
    assert.deepEqual(told('mmcblk0'), ['mmc', 'manufacturer 0x3', 'SC16G', '03534453', true, true])
    assert.deepEqual(told('mmcblk1'), ['mmc', undefined, 'DG4016', '45010044', true, false])
    assert.deepEqual(told('sdc'), ['usb', 'Generic', 'STORAGE DEVICE', '000000001206', false, true])
    assert.deepEqual(told('sda'), ['ata', undefined, 'Disk 1', undefined, false, false])
    assert.deepEqual(told('nvme0n1'), ['nvme', undefined, 'NV 2000', 'eui.01', true, false])
    assert.equal(cards.get('loop0')!.model, 'loop device over /srv/disk.img')
    assert.equal(cards.get('sdc')!.sequence, '12')
    assert.equal(cards.get('sdc')!.size, 62333952 * 512)
  })

  test('mounts of its partitions are its own, those of other namespaces too', async () => {
    const cards = await names()
    assert.deepEqual(cards.get('sdc')!.mounts, [{ device: '8:33', at: '/media/me/boot fs', here: true }])
    assert.deepEqual(cards.get('mmcblk0')!.mounts, [{ device: '179:0', at: '/data', here: false }])
  })

  test('/ is found through LVM over dm-crypt', async () => {
    const sda = (await names()).get('sda')!
    assert.equal(sda.holdsRoot, true)
    assert.deepEqual(sda.holders, ['dm-0', 'dm-1'])
  })

  test('candidates come first, a reader without a card not at all', async () => {
    const order = [...(await names()).keys()]
    assert.equal(order[0], 'loop0', 'the only one without a refusal')
    assert.ok(!order.includes('sdd'))
    assert.ok(order.indexOf('sdc') < order.indexOf('sda'))
  })
})

const refused: [title: string, name: string, reason: RegExp, allowed?: object][] = [
  ['the disk of /', 'sda', /^sda: this system runs from it$/, { yesReally: true, unmount: true }],
  ['what is mounted', 'sdc', /mounted at \/media\/me\/boot fs/],
  ['an array’s member', 'sde', /in use by btrfs, md0/, { yesReally: true }],
  ['another device of a btrfs', 'sdf', /in use by btrfs/, { yesReally: true }],
  ['one that is read-only', 'sdg', /read-only/],
  ['eMMC', 'mmcblk1', /not removable \(mmc\)/],
  ['an NVMe disk', 'nvme0n1', /not removable \(nvme\)/, { unmount: true }],
]
for (const [title, name, reason, allowed = {}] of refused) {
  test(`${title} is refused`, async () => {
    const card = (await names()).get(name)!
    assert.throws(() => refuse(card, 'disk', allowed), { code: 'E_UNSAFE', message: reason })
  })
}

test('what is only mounted, or not removable, is written when the user says so', async () => {
  const cards = await names()
  refuse(cards.get('sdc')!, 'disk', { unmount: true })
  refuse(cards.get('nvme0n1')!, 'disk', { yesReally: true })
  assert.deepEqual(refusals(cards.get('loop0')!, 'partition'), [])
  assert.match(refusals(cards.get('sdc')!, 'partition')[0]!.reason, /whole disk, really not a disk partition/)
})

describe('a name', () => {
  const options = { cwd: root, role: 'partition', host } as const
  for (const name of ['sdz1', '', '.', '..', '/', '/dev/null', 'sys', './proc', 'no/such', 'card.img']) {
    test(`${JSON.stringify(name)} is really not a disk partition`, async () => {
      await assert.rejects(inspectCard(name, options), {
        code: 'E_UNSAFE',
        message: `${name || "''"} is really not a disk partition`,
      })
    })
  }
  test('with a slash may be a file', async () => {
    write('card.img', 'x')
    const card = await inspectCard('./card.img', options)
    assert.deepEqual([card.kind, card.path, card.size], ['file', join(root, 'card.img'), 2])
    await assert.rejects(inspectCard('card.img', options), {
      hint: 'for the file in this folder write ./card.img',
    })
  })
})

test('device numbers are unpacked as makedev packs them', () => {
  assert.equal(deviceId(0x821n), '8:33')
  assert.equal(deviceId(0x10300n), '259:0')
  assert.equal(deviceId(0x1_0000_1234_5678n), '66646:74616')
})
