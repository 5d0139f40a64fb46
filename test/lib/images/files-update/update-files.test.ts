import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { updateFiles } from '../../../../lib/images/files-update/update-files.ts'
import type { FilesReport } from '../../../../lib/images/values/types.ts'
import { missing, tool } from '../../../helpers/disks.ts'
import { debianFiles, RootDisk } from '../../../helpers/root-disks.ts'

const skip = missing('debugfs', 'mke2fs', 'e2fsck', 'mkfs.fat', 'fsck.fat', 'mcopy', 'mdel')
const disks: RootDisk[] = []
after(() => {
  for (const disk of disks) disk.remove()
})

type Files = Record<string, string>

async function make(root: Files, boot: Files = {}): Promise<RootDisk> {
  const disk = await RootDisk.make(root, boot)
  disks.push(disk)
  return disk
}

interface Sides {
  card: RootDisk
  image: RootDisk
  stock?: RootDisk
}

async function update(
  { card, image, stock }: Sides,
  notes: string[] = [],
): Promise<[FilesReport, FilesReport]> {
  const tmp = join(card.folder, 'tmp')
  mkdirSync(tmp, { recursive: true })
  const reports = await updateFiles({
    run: card.run,
    card: card.volumes,
    image: image.volumes,
    ...(stock && { stock: stock.volumes }),
    tmp,
    epoch: 1_700_000_000,
    note: (line) => notes.push(line),
  })
  card.assertSound()
  assert.equal(card.stat('.fleetsie-update').type, 'none')
  return reports as [FilesReport, FilesReport]
}

const counts = ({ added, changed, removed, kept }: FilesReport): number[] => [added, changed, removed, kept]
const wants = 'etc/systemd/system/multi-user.target.wants'
const was: Files = {
  ...debianFiles,
  'opt/app/main': 'version 1\n',
  'opt/app/gone': 'of the first image\n',
  'opt/old/only': 'of the first image\n',
  'usr/lib/systemd/system/fleetsie-provision.service': '[Service]\n',
  [`${wants}/fleetsie-provision.service`]: '',
}
const is: Files = {
  ...debianFiles,
  'opt/app/main': 'version 2, longer\n',
  'opt/app/more': 'of the new image\n',
  'usr/lib/systemd/system/fleetsie-provision.service': '[Service]\n',
  'usr/lib/systemd/system/new.service': '[Service]\n',
  [`${wants}/fleetsie-provision.service`]: '',
  [`${wants}/new.service`]: '',
  'etc/passwd': `${debianFiles['etc/passwd']}app:x:998:998::/opt/app:/usr/sbin/nologin\n`,
  'etc/group': `${debianFiles['etc/group']!.replace('netdev:x:101:', 'netdev:x:101:app')}app:x:998:\n`,
}

/** What a device does with its card: its first boot, its claim, its work. */
function live(card: RootDisk): void {
  card.put('etc/hostname', 'lake-3\n')
  card.put('etc/machine-id', '0123456789abcdef0123456789abcdef\n')
  card.put('etc/ssh/ssh_host_ed25519_key', 'HOST KEY\n')
  card.put('etc/passwd', `${was['etc/passwd']}anna:x:1000:1000::/home/anna:/bin/bash\n`)
  card.put('etc/group', `${was['etc/group']!.replace('sudo:x:27:', 'sudo:x:27:anna')}anna:x:1000:\n`)
  card.change([
    'mkdir /home',
    'mkdir /home/anna',
    'mkdir /home/anna/.ssh',
    'mkdir /opt/app/data',
    'mkdir /var',
    'mkdir /var/log',
  ])
  card.put('home/anna/.ssh/fleetsie', 'TUNNEL KEY\n')
  card.put('home/anna/notes', 'mine\n')
  card.put('opt/app/data/log', 'measured\n')
  card.put('var/log/syslog', 'booted\n')
  card.change([`rm /${wants}/fleetsie-provision.service`])
  card.put('opt/app/main', 'changed on the device\n')
}

test("the image's files come, and what is the device's own stays", { skip }, async () => {
  const [card, image, stock] = [await make(was), await make(is), await make(was)]
  card.change(['mkdir /etc/ssh'])
  live(card)
  const [, root] = await update({ card, image, stock })
  assert.equal(card.cat('opt/app/main'), 'version 2, longer\n')
  assert.equal(card.cat('opt/app/more'), 'of the new image\n')
  assert.equal(card.stat('opt/app/gone').type, 'none')
  assert.equal(card.stat('opt/old').type, 'none')
  assert.equal(card.stat(`${wants}/new.service`).type, 'regular')
  assert.equal(card.stat(`${wants}/fleetsie-provision.service`).type, 'none')
  for (const [path, content] of [
    ['etc/hostname', 'lake-3\n'],
    ['etc/machine-id', '0123456789abcdef0123456789abcdef\n'],
    ['etc/ssh/ssh_host_ed25519_key', 'HOST KEY\n'],
    ['home/anna/.ssh/fleetsie', 'TUNNEL KEY\n'],
    ['home/anna/notes', 'mine\n'],
    ['opt/app/data/log', 'measured\n'],
    ['var/log/syslog', 'booted\n'],
  ] as const) {
    assert.equal(card.cat(path), content)
  }
  assert.match(card.cat('etc/passwd'), /^anna:.*\napp:x:998/m)
  assert.match(card.cat('etc/group'), /^sudo:x:27:anna$/m)
  assert.match(card.cat('etc/group'), /^netdev:x:101:app$/m)
  // main, passwd, group; more, new.service and its link; gone, old and what is in it.
  assert.deepEqual(counts(root).slice(0, 3), [3, 3, 3])
  assert.deepEqual(root.differing, [
    'etc/group',
    'etc/hostname',
    'etc/machine-id',
    'etc/passwd',
    `${wants}/fleetsie-provision.service`,
  ])
  const [, again] = await update({ card, image, stock })
  assert.deepEqual(counts(again).slice(0, 3), [0, 0, 0])
  assert.deepEqual(again.touched.ranges, [])
})

test('without the first image nothing is removed, and what the device switched off stays off', {
  skip,
}, async () => {
  const [card, image] = [await make(was), await make(is)]
  card.change(['mkdir /etc/ssh'])
  live(card)
  const [, root] = await update({ card, image })
  assert.equal(root.removed, 0)
  assert.equal(card.cat('opt/app/gone'), 'of the first image\n')
  assert.equal(card.stat(`${wants}/fleetsie-provision.service`).type, 'none')
  assert.equal(card.stat(`${wants}/new.service`).type, 'regular')
})

test("types, modes, owners, attributes, links and devices become the image's", { skip }, async () => {
  const [card, image] = [await make(was), await make(is)]
  for (const disk of [card, image]) {
    disk.change(['mkdir /t', 'mkdir /t/folder', 'cd /t', 'mknod device c 1 3', 'symlink /t/link /etc/hosts'])
    for (const name of ['file', 'first', 'moded', 'named']) disk.put(`t/${name}`, `${name}\n`)
    disk.change(['ln /t/first /t/second', 'sif /t/first links_count 2'])
  }
  card.change(['rm /t/link', 'symlink /t/link /etc/passwd', 'rm /t/device', 'cd /t', 'mknod device b 8 1'])
  card.change([
    'rm /t/file',
    'mkdir /t/file',
    'mkdir /t/file/inside',
    'rmdir /t/folder',
    'symlink /t/folder /etc',
  ])
  card.change(['sif /t/moded mode 0104711', 'sif /t/moded uid 33', 'ea_set /t/named user.note mine'])
  image.put('t/first', 'other\n')
  image.change([
    'rm /t/second',
    'ln /t/first /t/second',
    'sif /t/first links_count 2',
    'ea_set /t/moded user.note image',
  ])
  await update({ card, image })
  for (const path of [
    't/folder',
    't/device',
    't/link',
    't/file',
    't/first',
    't/second',
    't/moded',
    't/named',
  ]) {
    assert.deepEqual(card.stat(path), image.stat(path), path)
    const attributes = (disk: RootDisk): string => tool('debugfs', ['-R', `ea_list "/${path}"`, disk.ext])
    assert.equal(attributes(card), attributes(image), path)
  }
  assert.equal(card.cat('t/second'), 'other\n')
  const links = tool('debugfs', ['-R', 'stat /t/second', card.ext])
  assert.match(links, /Links: 2/)
})

test('a folder that the image has no more stays while the device has something in it', { skip }, async () => {
  const [card, image, stock] = [await make(was), await make(is), await make(was)]
  card.put('opt/old/mine', 'mine\n')
  const [, root] = await update({ card, image, stock })
  assert.equal(card.cat('opt/old/mine'), 'mine\n')
  assert.equal(card.stat('opt/old/only').type, 'none')
  assert.equal(root.removed, 2)
})

test("on FAT a name is the same in any case, and cmdline.txt is the device's", { skip }, async () => {
  const [card, image] = [
    await make(debianFiles, {
      'cmdline.txt': 'of the device\n',
      'CONFIG.TXT': 'old\n',
      'mine.txt': 'mine\n',
      ssh: '',
    }),
    await make(debianFiles, {
      'cmdline.txt': 'of the image\n',
      'config.txt': 'new\n',
      'userconf.txt': 'x',
      'kernel8.img': 'k',
    }),
  ]
  const [boot] = await update({ card, image })
  assert.equal(card.fat('cmdline.txt'), 'of the device\n')
  assert.equal(card.fat('config.txt'), 'new\n')
  assert.equal(card.fat('mine.txt'), 'mine\n')
  assert.equal(card.fat('kernel8.img'), 'k')
  assert.throws(() => card.fat('userconf.txt'))
  assert.deepEqual(counts(boot), [1, 1, 0, 4])
  assert.deepEqual(boot.differing, ['cmdline.txt', 'userconf.txt'])
})

test('a FAT that was not unmounted is put right first', { skip }, async () => {
  const [card, image] = [
    await make(debianFiles, { 'a.txt': 'old\n' }),
    await make(debianFiles, { 'a.txt': 'new\n' }),
  ]
  // The dirty bit of FAT16: the upper one of the second entry, 0 when it is dirty.
  const { offset } = card.volumes[0]!.partition
  card.edit((bytes) => {
    const at = offset + bytes.readUInt16LE(offset + 14) * 512
    for (const table of [at, at + bytes.readUInt16LE(offset + 22) * 512])
      bytes[table + 3] = bytes[table + 3]! & 0x7f
    bytes[offset + 0x25] = 1
    return undefined
  })
  const notes: string[] = []
  await update({ card, image }, notes)
  assert.match(notes.join(), /part_1.*repaired/)
  assert.equal(card.fat('a.txt'), 'new\n')
})

for (const { title, change, message } of [
  {
    title: 'another filesystem',
    change: (card: RootDisk) => {
      card.volumes[1]!.partition.filesystem = 'vfat'
    },
    message: /part_2 holds vfat on the card and ext4 in the image/,
  },
  {
    title: 'a partition that the image has not',
    change: (card: RootDisk) => {
      card.volumes[1]!.partition.number = 5
    },
    message: /no part_5/,
  },
]) {
  test(`refused before anything is written: ${title}`, { skip }, async () => {
    const [card, image] = [await make(was), await make(is)]
    change(card)
    const before = card.bytes()
    await assert.rejects(update({ card, image }), { code: 'E_INPUT', message })
    assert.ok(card.bytes().equals(before))
  })
}

test('a card without room says so, and can be written again when it has', { skip }, async () => {
  const [card, image] = [await make(was), await make({ ...is, 'opt/big': 'x'.repeat(9 * 1024 * 1024) })]
  card.put('home', 'y'.repeat(13 * 1024 * 1024))
  await assert.rejects(update({ card, image }), { code: 'E_TOO_SMALL', message: /too little room/ })
  assert.equal(card.stat('.fleetsie-update').type, 'none')
  card.change(['rm /home'])
  await update({ card, image })
  assert.match(tool('debugfs', ['-R', 'stat /opt/big', card.ext]), /Size: 9437184/)
})

test('of a card beyond repair it says what to do', { skip }, async () => {
  const [card, image] = [await make(was), await make(is)]
  const { offset } = card.volumes[1]!.partition
  // The table of inodes, without a mark of ours on the card.
  card.edit((bytes) => {
    bytes.fill(0xff, offset + 4096, offset + 24 * 4096)
    return undefined
  })
  copyFileSync(card.path, join(card.folder, 'before'))
  await assert.rejects(update({ card, image }), { code: 'E_DAMAGED' })
})
