import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fstabMounts } from '../../../../lib/images/customize/fstab.ts'
import type { PartitionTable } from '../../../../lib/images/partition-table.ts'

const partition = (number: number, more: object) => ({
  ...{ number, offset: number << 20, size: 1 << 20, type: '83', bootable: false },
  ...{ partuuid: `5eed0001-0${number}`, filesystem: 'ext4', label: null, uuid: null },
  ...more,
})
const table: PartitionTable = {
  ...{ format: 1, table: 'gpt', sectorSize: 512, diskId: 'x', size: 10 << 20 },
  partitions: [
    partition(1, { filesystem: 'vfat', label: 'bootfs', uuid: '5EED-B007' }),
    partition(2, { label: 'root fs', uuid: 'aa-bb' }),
    partition(3, { name: 'data' }),
  ],
}

describe('the partitions that an fstab mounts', () => {
  const cases: [string, string, [number, string][]][] = [
    [
      'by PARTUUID, in either case',
      'PARTUUID=5EED0001-01 /boot/firmware vfat defaults 0 2',
      [[1, 'boot/firmware']],
    ],
    ['by UUID', 'UUID=5eed-b007 /boot vfat defaults', [[1, 'boot']]],
    ['by label, quoted', 'LABEL="bootfs"\t/boot vfat', [[1, 'boot']]],
    ['by a label with a blank', 'LABEL=root\\040fs / ext4', [[2, '']]],
    ['but not by a label in another case', 'LABEL=BOOTFS /boot vfat', []],
    ['by PARTLABEL', 'PARTLABEL=data /srv ext4', [[3, 'srv']]],
    ['by a link of udev', '/dev/disk/by-uuid/aa-bb / ext4', [[2, '']]],
    ['by number on an SD card', '/dev/mmcblk0p2 / ext4', [[2, '']]],
    ['by number on a disk', '/dev/sda3 /srv ext4', [[3, 'srv']]],
    [
      'the outer before the inner',
      '/dev/sda1 /boot/efi vfat\n/dev/sda3 /boot ext4',
      [
        [3, 'boot'],
        [1, 'boot/efi'],
      ],
    ],
    ['the last line for a place', '/dev/sda1 /boot vfat\n/dev/sda3 /boot ext4', [[3, 'boot']]],
    [
      'without comments, swap, noauto, others and half lines',
      '#/dev/sda1 /boot\n/dev/sda1 none swap\n/dev/sda1 /boot vfat noauto\nproc /proc proc\n/dev/sda1\n//nas/x /mnt cifs',
      [],
    ],
    ['without paths that lead upwards', '/dev/sda1 /../boot vfat', []],
    ['at a place with a blank', '/dev/sda1 /boot\\040part vfat', [[1, 'boot part']]],
  ]
  for (const [title, text, expected] of cases) {
    it(title, () => {
      assert.deepEqual(
        fstabMounts(text, table).map(({ partition: { number }, at }) => [number, at]),
        expected,
      )
    })
  }
})
