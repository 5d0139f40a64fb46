import assert from 'node:assert/strict'
import { statSync, truncateSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { sizeOf } from '../../../lib/images/device-size.ts'
import { Window } from '../../../lib/images/window.ts'
import { missing, TestDisk, tool } from '../../helpers/disks.ts'
import { needsRoot } from '../../helpers/needs.ts'

test('a file is as large as it says, and a folder is refused', () => {
  const disk = new TestDisk(12_800)
  try {
    assert.equal(sizeOf(statSync(disk.path)), 12_800)
    assert.throws(() => sizeOf(statSync(disk.folder)), { code: 'E_INPUT' })
  } finally {
    disk.remove()
  }
})

test('a block device is as large as the kernel says', { skip: needsRoot || missing('losetup') }, () => {
  const disk = new TestDisk(0)
  writeFileSync(disk.path, 'x')
  truncateSync(disk.path, 3 * 1024 * 1024 + 512)
  const device = tool('losetup', ['--find', '--show', disk.path]).trim()
  try {
    assert.equal(sizeOf(statSync(device)), 3 * 1024 * 1024 + 512)
    const window = new Window(device, { offset: 1024 * 1024, size: Number.MAX_SAFE_INTEGER })
    assert.equal(window.size, 2 * 1024 * 1024 + 512)
    window.close()
  } finally {
    tool('losetup', ['--detach', device])
    disk.remove()
  }
})
