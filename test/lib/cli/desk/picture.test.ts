/** What `status` shows. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Picture, pictureOf } from '../../../../lib/cli/desk/picture.ts'

const partition = { offset: 0, type: '83', bootable: false, partuuid: '', uuid: null }
const picture: Picture = {
  image: 'os.img',
  table: {
    ...{ format: 1, table: 'mbr', sectorSize: 512, diskId: '', size: 2 ** 31 },
    partitions: [
      { ...partition, number: 1, size: 2 ** 28, filesystem: 'vfat', label: 'bootfs' },
      { ...partition, number: 2, size: 2 ** 30, filesystem: 'ext4', label: 'rootfs' },
      { ...partition, number: 3, size: 2 ** 20, filesystem: 'swap', label: null },
    ],
  },
  from: { type: 'file', path: '/home/me/os.img.xz', sha256: '' },
  mounted: 'kernel',
  changes: {
    parts: [
      { number: 1, added: 0, changed: 0, removed: 0, bytes: 0 },
      { number: 2, added: 2, changed: 0, removed: 1, bytes: 2048 },
    ],
    git: {
      untracked: ['a', 'b', 'c', 'd'],
      modified: ['e'],
      deleted: ['f'],
      ignored: ['overlays/part_2/x~'],
    },
  },
  saved: [
    { path: 'os_fleetsie.img.xz', at: 60_000, current: false },
    { path: '../my.img.xz', at: 0, current: true },
  ],
}

it('the whole desk', () => {
  assert.equal(
    pictureOf(picture, 150_000),
    `os.img  2.0 GiB, mounted
  made of /home/me/os.img.xz

  part_1  bootfs  vfat  256 MiB  as in the stock image
  part_2  rootfs  ext4  1.0 GiB  2 added, 1 removed  2.0 KiB
  part_3          swap  1.0 MiB  cannot be mounted

git does not have yet; commit it in overlays/:
  new     a
  new     b
  new     c
  new     d
  edited  e
  and 1 more
git ignores, and no image will have: overlays/part_2/x~
os_fleetsie.img.xz was saved 1 min 30 s ago, before the last change
../my.img.xz was saved 2 min 30 s ago and has all changes`,
  )
})

it('one that was never saved, without git, not mounted', () => {
  const text = pictureOf(
    { ...picture, from: undefined, mounted: undefined, changes: { parts: [], git: undefined }, saved: [] },
    0,
  )
  assert.match(text, /^os\.img {2}2\.0 GiB, not mounted\n\n/)
  assert.match(text, /overlays\/ is not under git\nnever saved: fleetsie_mod save$/)
})
