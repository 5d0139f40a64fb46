/** Which card it is, and whether this machine wrote to it: files and loop devices as they are, disks by a tree like sysfs. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { inspectCard } from '../../../../lib/images/cards/inspect.ts'
import { identifyCard } from '../../../../lib/images/flash/receipt-identity.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { ext, fat, patch, ReceiptRig } from './receipt-rig.ts'

const skip = needs('mkfs.vfat', 'mmd', 'mkfs.ext4', 'debugfs', 'sfdisk')
const noLoop = skip || needsRoot

let rig: ReceiptRig
before(async () => {
  if (!skip) rig = await ReceiptRig.open()
})
after(() => rig?.remove())

async function identify(...names: string[]) {
  const role = names.length > 1 ? 'partition' : 'disk'
  const infos = await Promise.all(names.map((name) => inspectCard(name, { cwd: rig.folder, role })))
  const identity = await identifyCard(infos)
  assert.ok(identity)
  return identity
}

function loop(path: string, ...options: string[]): string {
  return tool('losetup', ['--find', '--show', ...options, path]).trim()
}

/** Attaches, hands over the device, detaches. */
async function looped(path: string, use: (device: string) => Promise<void> | void, ...options: string[]) {
  const device = loop(path, ...options)
  try {
    await use(device)
  } finally {
    tool('losetup', ['--detach', device])
  }
}

describe('of a file', { skip }, () => {
  const writes: [title: string, write: (path: string) => void | Promise<void>, root?: true][] = [
    ['a program wrote to it', (path) => patch(path, 9 * MiB, 'x')],
    [
      'a program wrote the same bytes again and set the time back',
      async (path) => {
        tool('touch', ['-r', path, join(rig.folder, 'times')])
        await patch(path, 9 * MiB, readFileSync(path).subarray(9 * MiB, 9 * MiB + 1))
        tool('touch', ['-r', join(rig.folder, 'times'), path])
      },
    ],
    [
      'dd wrote the image again',
      (path) => void tool('dd', [`if=${rig.raw}`, `of=${path}`, 'conv=notrunc', 'status=none']),
    ],
    [
      'a FAT file was replaced',
      (path) =>
        void tool('mcopy', ['-o', '-i', `${path}@@${fat.offset}`, '-', '::/deep/config.txt'], 'two\n'),
    ],
    [
      'the kernel mounted it for writing through a loop device',
      (path) =>
        looped(
          path,
          (device) => {
            const folder = join(rig.folder, 'mnt')
            mkdirSync(folder, { recursive: true })
            tool('mount', ['-t', 'ext4', device, folder])
            tool('umount', [folder])
          },
          `--offset=${ext.offset}`,
          `--sizelimit=${ext.size}`,
        ),
      true,
    ],
    [
      'a loop device over it was written',
      (path) => looped(path, (device) => patch(device, 9 * MiB, 'x')),
      true,
    ],
    [
      'another file took its place',
      async (path) => {
        await copyFile(path, `${path}-copy`)
        tool('mv', [`${path}-copy`, path])
      },
    ],
  ]
  for (const [number, [title, write, root]] of writes.entries()) {
    test(`its receipt is not believed when ${title}`, { skip: root && needsRoot }, async () => {
      const path = await rig.card(`file-${number}`)
      await rig.keep(path, await identify(path))
      assert.equal(await rig.doubt(path, await identify(path)), 'it is believed')
      await write(path)
      assert.match(await rig.doubt(path, await identify(path)), /the file was written|there is no receipt/)
    })
  }
})

test('a file is the same card through every loop device over all of it', { skip: noLoop }, async () => {
  const path = await rig.card('looped')
  await looped(path, async (device) => rig.keep(device, await identify(device)))
  await looped(path, async (device) =>
    assert.equal(await rig.doubt(device, await identify(device)), 'it is believed'),
  )
  const { key } = await identify(path)
  await looped(path, async (device) => assert.equal((await identify(device)).key, key))
  await looped(
    path,
    async (device) => assert.notEqual((await identify(device)).key, key),
    `--offset=${fat.offset}`,
  )
})

test('partitions of several cards are no card', { skip }, async () => {
  const [first, second] = [await rig.card('one'), await rig.card('two')]
  const infos = await Promise.all(
    [first, second].map((name) => inspectCard(name, { cwd: '/', role: 'disk' })),
  )
  assert.equal(await identifyCard(infos), undefined)
})

/** A USB stick with two partitions, as the kernel shows it. */
class Machine {
  readonly folder = mkdtempSync(join(tmpdir(), 'fleetsie-sysfs-'))
  readonly host = { sys: join(this.folder, 'sys'), proc: join(this.folder, 'proc'), dev: '/dev' }

  constructor() {
    const disk = 'devices/pci0000:00/usb1/1-2/host0/block/sdz'
    this.write(`sys/${disk}/dev`, '8:400')
    this.write(`sys/${disk}/size`, '1000')
    for (const number of [1, 2]) {
      this.write(`sys/${disk}/sdz${number}/dev`, `8:40${number}`)
      this.write(`sys/${disk}/sdz${number}/partition`, `${number}`)
      this.write(`sys/${disk}/sdz${number}/start`, `${number * 100}`)
    }
    mkdirSync(join(this.host.sys, 'dev/block'), { recursive: true })
    for (const [id, name] of [
      ['8:400', ''],
      ['8:401', '/sdz1'],
      ['8:402', '/sdz2'],
    ] as const)
      symlinkSync(join(this.host.sys, disk) + name, join(this.host.sys, 'dev/block', id))
    this.write('proc/sys/kernel/random/boot_id', 'first boot\n')
    this.insert(17, 1000)
  }

  insert(sequence: number | undefined, written: number, discarded = 0): void {
    const disk = 'sys/devices/pci0000:00/usb1/1-2/host0/block/sdz'
    if (sequence === undefined) rmSync(join(this.folder, disk, 'diskseq'))
    else this.write(`${disk}/diskseq`, `${sequence}`)
    const fields = [1, 2, 3, 4, 5, 6, written, 8, 0, 10, 11, 12, 13, discarded, 15, 16, 17]
    this.write(`${disk}/stat`, fields.map((field) => `${field}`.padStart(8)).join(' '))
  }

  write(name: string, text: string): void {
    const path = join(this.folder, name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, text)
  }

  identify(serial: string | undefined, ...ids: string[]) {
    const cards = ids.map((id) => ({
      ...{ path: '/dev/sdz', kind: 'disk' as const, id, transport: 'usb' },
      ...{ vendor: 'Generic', model: 'Reader', serial },
    }))
    return identifyCard(cards, this.host)
  }
}

test('of a disk the state changes with each write, discard, insertion and boot, and with nothing else', async (t) => {
  const machine = new Machine()
  t.after(() => rmSync(machine.folder, { recursive: true }))
  const identity = await machine.identify('123', '8:400')
  assert.equal(identity!.disk, '/dev/sdz')
  assert.deepEqual(identity!.starts, [0])
  const states = new Set<string | undefined>()
  const seen = async (): Promise<number> => states.add(await identity!.state()).size
  assert.equal(await seen(), 1)
  assert.equal(await seen(), 1)
  machine.insert(17, 1008)
  assert.equal(await seen(), 2)
  machine.insert(17, 1008, 64)
  assert.equal(await seen(), 3)
  machine.insert(18, 1008, 64)
  assert.equal(await seen(), 4)
  machine.write('proc/sys/kernel/random/boot_id', 'second boot\n')
  assert.equal(await seen(), 5)
  machine.insert(undefined, 1008)
  assert.equal(await identity!.state(), undefined)
})

test('partitions of one disk are that disk, each with its place', async (t) => {
  const machine = new Machine()
  t.after(() => rmSync(machine.folder, { recursive: true }))
  const whole = await machine.identify('123', '8:400')
  const parts = await machine.identify('123', '8:401', '8:402')
  assert.equal(parts!.key, whole!.key)
  assert.deepEqual(parts!.starts, [51_200, 102_400])
  assert.notEqual((await machine.identify('124', '8:400'))!.key, whole!.key)
  assert.notEqual((await machine.identify(undefined, '8:400'))!.key, whole!.key)
  assert.equal(await machine.identify('123', '8:999'), undefined)
})

test('a deleted file behind a loop device has no identity', { skip: noLoop }, async () => {
  const path = await rig.card('deleted')
  await looped(path, async (device) => {
    rmSync(path)
    const info = await inspectCard(device, { cwd: '/', role: 'disk' })
    assert.equal(await identifyCard([info]), undefined)
  })
})
