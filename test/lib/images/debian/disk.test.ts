import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import { makeBootPartition } from '../../../../lib/images/debian/boot.ts'
import {
  bootPlace,
  makeBootFilesystem,
  makeDisk,
  placeImage,
  rootPlace,
} from '../../../../lib/images/debian/disk.ts'
import { readPartitionTable } from '../../../../lib/images/partitions.ts'
import { needs } from '../../../helpers/needs.ts'

const MiB = 1024 * 1024
const plan = {
  size: 256 * MiB,
  diskId: '0badcafe',
  rootUuid: '01234567-89ab-8def-8123-456789abcdef',
  epoch: 1_700_000_000,
}
const code = Buffer.alloc(440, 0x90)

describe('the empty disk of the Debian image', { skip: needs('sfdisk', 'mke2fs', 'mkfs.fat') }, () => {
  const tmp = mkdtempSync(join(tmpdir(), 'fleetsie-test-disk-'))
  const make = async (name: string): Promise<string> => {
    const folder = join(tmp, name)
    mkdirSync(folder)
    const run = runner({ home: folder })
    const [disk, boot] = [join(folder, 'disk.img'), join(folder, 'boot.img')]
    await makeDisk(disk, plan, code, run)
    await makeBootFilesystem(boot, plan.diskId, run)
    await placeImage(boot, disk, bootPlace.offset)
    return disk
  }
  const sum = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')
  let disk = ''
  before(async () => {
    disk = await make('first')
  })
  after(() => rmSync(tmp, { recursive: true, force: true }))

  it('has the table that sfdisk reads', () => {
    const { partitiontable: table } = JSON.parse(
      execFileSync('/usr/sbin/sfdisk', ['--json', disk], { encoding: 'utf8' }),
    )
    assert.deepEqual([table.label, table.id], ['dos', '0x0badcafe'])
    const places = table.partitions.map((each: Record<string, unknown>) => [
      each['start'],
      each['size'],
      each['type'],
      each['bootable'],
    ])
    assert.deepEqual(places, [
      [2048, 127 * 2048, 'c', true],
      [128 * 2048, 128 * 2048, '83', undefined],
    ])
    assert.ok(readFileSync(disk).subarray(0, 440).equals(code))
  })

  it('has a FAT32 and an ext4 filesystem that their checkers pass', async () => {
    const { partitions } = await readPartitionTable(disk)
    const facts = partitions.map(({ filesystem, label, uuid, partuuid }) => [
      filesystem,
      label,
      uuid,
      partuuid,
    ])
    assert.deepEqual(facts, [
      ['vfat', 'bootfs', '0BAD-CAFE', '0badcafe-01'],
      ['ext4', 'rootfs', plan.rootUuid, '0badcafe-02'],
    ])
    execFileSync('/usr/sbin/fsck.fat', ['-n', join(tmp, 'first/boot.img')], { stdio: 'pipe' })
    execFileSync('/usr/sbin/e2fsck', ['-fn', `${disk}?offset=${rootPlace(plan.size).offset}`], {
      stdio: 'pipe',
    })
  })

  it('is the same bytes each time', async () => {
    assert.equal(sum(await make('second')), sum(disk))
  })

  const odd = 'a ?offset=512,@@1M [b]*'
  it('may be made in a folder whose name means something to the tools', async () => {
    assert.equal(sum(await make(odd)), sum(disk))
  })

  it('has what it boots in it, whatever the folder is called', {
    skip: needs('mcopy', 'mtype', 'syslinux'),
  }, async () => {
    const folder = join(tmp, `${odd} boot`)
    mkdirSync(folder)
    const files = { kernel: join(folder, 'kernel'), initramfs: join(folder, 'initramfs') }
    writeFileSync(files.kernel, 'the kernel')
    writeFileSync(files.initramfs, 'the initramfs')
    const bootloader = { mbr: code, installer: 'syslinux' }
    const image = join(folder, 'boot.img')
    const { diskId, epoch } = plan
    await makeBootPartition(image, {
      ...{ bootloader, files, diskId, epoch },
      tmp: folder,
      run: runner({ home: folder }),
    })
    const type = (name: string): string =>
      execFileSync('mtype', ['-i', 'boot.img', `::/${name}`], { cwd: folder, encoding: 'utf8' })
    assert.deepEqual([type('vmlinuz'), type('initrd.img')], ['the kernel', 'the initramfs'])
    assert.match(type('syslinux.cfg'), /APPEND root=PARTUUID=0badcafe-02/)
  })

  it('takes over what an image holds, wherever its holes are', async () => {
    const image = join(tmp, 'image')
    writeFileSync(image, Buffer.concat([Buffer.alloc(MiB), Buffer.from('end')]))
    const target = join(tmp, 'target')
    writeFileSync(target, Buffer.alloc(4 * MiB))
    await placeImage(image, target, 2 * MiB)
    assert.equal(
      readFileSync(target)
        .subarray(3 * MiB, 3 * MiB + 3)
        .toString(),
      'end',
    )
    assert.equal(readFileSync(target).length, 4 * MiB)
  })
})
