import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { planMounts } from '../../../../lib/images/desk/plan.ts'
import type { PartitionInfo } from '../../../../lib/images/partition-table.ts'

const partition = (number: number, filesystem: string | null, type = '83'): PartitionInfo => ({
  number,
  offset: number * 1024 * 1024,
  size: 1024 * 1024,
  type,
  bootable: false,
  partuuid: `5eed0004-0${number}`,
  filesystem,
  label: null,
  uuid: null,
})

function plan(form: 'kernel' | 'fuse', ...partitions: PartitionInfo[]) {
  const warnings: string[] = []
  const table = {
    format: 1,
    table: 'mbr',
    sectorSize: 512,
    diskId: '5eed0004',
    size: 2 ** 30,
    partitions,
  } as const
  const { mounts } = planMounts({ ...table, partitions }, form, (line) => warnings.push(line))
  return { mounts: mounts.map(({ target, kind }) => `${kind} ${target}`), warnings }
}

describe('what of an image is mounted', () => {
  for (const filesystem of ['ext2', 'ext3', 'ext4']) {
    test(`${filesystem} by its place in the image, by either means`, () => {
      const kernel = plan('kernel', partition(2, filesystem))
      assert.deepEqual(kernel, { mounts: ['loop original/part_2', 'overlay part_2'], warnings: [] })
      const fuse = plan('fuse', partition(2, filesystem))
      assert.deepEqual(fuse.mounts, ['fuse2fs original/part_2', 'fuse-overlayfs part_2'])
    })
  }

  test('FAT by a copy, for no overlay takes FAT', () => {
    assert.deepEqual(plan('kernel', partition(1, 'vfat')).mounts, ['bind original/part_1', 'overlay part_1'])
    const fuse = plan('fuse', partition(1, 'vfat')).mounts
    assert.deepEqual(fuse, ['fuse-overlayfs original/part_1', 'fuse-overlayfs part_1'])
  })

  for (const [filesystem, pattern] of [
    ['swap', /partition 3 is left out: it is swap/],
    ['xfs', /partition 3 is left out: xfs cannot be edited/],
    ['btrfs', /btrfs cannot/],
    ['ntfs', /ntfs cannot/],
    ['crypto_LUKS', /crypto_LUKS cannot/],
    [null, /no filesystem that is known \(type 83/],
  ] as const) {
    test(`${filesystem ?? 'an unknown one'} is left out with a warning`, () => {
      const { mounts, warnings } = plan('kernel', partition(3, filesystem))
      assert.deepEqual(mounts, [])
      assert.equal(warnings.length, 1)
      assert.match(warnings[0]!, pattern)
    })
  }

  for (const type of ['05', '0f', '85']) {
    test(`an extended partition of type ${type} is left out without a word`, () => {
      assert.deepEqual(plan('kernel', partition(4, null, type)), { mounts: [], warnings: [] })
    })
  }
})
