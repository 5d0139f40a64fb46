import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { filesystemOf, listMounts, parseMount } from '../../../../lib/images/desk/mount-info.ts'
import { missing, tool } from '../../../helpers/disks.ts'

describe('mountinfo', () => {
  const cases: [string, string, ReturnType<typeof parseMount>][] = [
    [
      'the example of proc(5)',
      '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue',
      { root: '/mnt1', target: '/mnt2', type: 'ext3', source: '/dev/root' },
    ],
    [
      'no optional fields, and more than one',
      '36 35 98:0 / /a rw shared:1 master:2 unbindable - tmpfs tmpfs rw',
      { root: '/', target: '/a', type: 'tmpfs', source: 'tmpfs' },
    ],
    [
      'space, tab, newline and backslash',
      '36 35 98:0 / /a\\040b\\011c\\012d\\134040 rw - tmpfs x\\040y rw',
      { root: '/', target: '/a b\tc\nd\\040', type: 'tmpfs', source: 'x y' },
    ],
    ['an empty line', '', undefined],
  ]
  for (const [title, line, expected] of cases) {
    test(title, () => assert.deepEqual(parseMount(line), expected))
  }

  test('findmnt sees the same mounts', { skip: missing('findmnt') }, async () => {
    const mine = (await listMounts()).map(({ target }) => target)
    const theirs = tool('findmnt', ['--kernel', '--noheadings', '--output', 'TARGET', '--raw'])
    for (const target of ['/', '/proc', '/sys']) {
      assert.ok(mine.includes(target))
      assert.ok(theirs.split('\n').includes(target))
    }
  })

  test('a folder is on the filesystem whose mount is the nearest above it', async () => {
    assert.equal(await filesystemOf('/proc/self'), 'proc')
    assert.equal(await filesystemOf('/sys/block'), 'sysfs')
  })
})
