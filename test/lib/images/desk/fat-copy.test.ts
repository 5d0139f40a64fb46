import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { copyFat } from '../../../../lib/images/desk/fat-copy.ts'
import { MiB, missing, tool } from '../../../helpers/disks.ts'
import { Random } from '../../../helpers/random.ts'

const skip = missing('mkfs.fat', 'mcopy')

describe('a copy of a FAT filesystem', { skip }, () => {
  let folder: string
  let disk: string
  let to: string
  const at = MiB
  const size = 8 * MiB
  const partition = {
    number: 1,
    offset: at,
    size,
    type: '0c',
    bootable: true,
    partuuid: 'x',
    filesystem: 'vfat',
    label: null,
    uuid: null,
  } as const

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fleetsie-fat-'))
    disk = join(folder, 'disk')
    to = join(folder, 'copy')
    writeFileSync(disk, Buffer.alloc(at + size))
    tool('mkfs.fat', ['--offset=2048', '-F', '16', '-s', '1', disk, `${size / 1024}`])
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const copy = (signal = new AbortController().signal): Promise<void> => copyFat(disk, partition, to, signal)
  const put = (source: string): string => tool('mcopy', ['-i', `${disk}@@${at}`, '-s', '-m', source, '::'])

  test('has the names, the contents and the times that mtools put there', async () => {
    const chance = new Random('fat')
    const source = join(folder, 'tree')
    mkdirSync(join(source, 'deep/er'), { recursive: true })
    const contents = new Map<string, Buffer>()
    for (const [name, length] of [
      ['empty', 0],
      ['one cluster', 512],
      ['UPPER.TXT', 513],
      ['deep/a name that is long and has ümläute, commas; and more.text', 70_000],
      ['deep/er/big', 3 * MiB + 1],
    ] as const) {
      contents.set(name, chance.bytes(length))
      writeFileSync(join(source, name), contents.get(name)!)
    }
    put(source)
    await copy()
    for (const [name, bytes] of contents) {
      const copied = join(to, 'tree', name)
      assert.ok(readFileSync(copied).equals(bytes), name)
      // FAT keeps times to two seconds.
      assert.ok(Math.abs(statSync(copied).mtimeMs - statSync(join(source, name)).mtimeMs) <= 2000, name)
    }
    assert.deepEqual(readdirSync(join(to, 'tree')).sort(), ['UPPER.TXT', 'deep', 'empty', 'one cluster'])
  })

  test('takes the place of one that a crash left half done', async () => {
    mkdirSync(join(to, 'left'), { recursive: true })
    await copy()
    assert.deepEqual(readdirSync(to), [])
  })

  test('of a filesystem with a folder within itself ends, and says so', async () => {
    mkdirSync(join(folder, 'outer/inner'), { recursive: true })
    put(join(folder, 'outer'))
    const bytes = readFileSync(disk)
    const entry = (name: string): number => bytes.indexOf(name.padEnd(11), at, 'latin1')
    // The inner folder's first cluster becomes the outer one's.
    bytes.copy(bytes, entry('INNER') + 26, entry('OUTER') + 26, entry('OUTER') + 28)
    writeFileSync(disk, bytes)
    await assert.rejects(copy(), { code: 'E_DAMAGED', message: /a folder is within itself/ })
  })

  test('stops at a signal', async () => {
    mkdirSync(join(folder, 'outer/inner'), { recursive: true })
    put(join(folder, 'outer'))
    await assert.rejects(copy(AbortSignal.abort()), { code: 'E_INTERRUPTED' })
    assert.equal(existsSync(join(to, 'outer/inner')), false)
  })
})
