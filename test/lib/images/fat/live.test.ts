import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, mock, test } from 'node:test'
import { LiveFat } from '../../../../lib/images/fat/live.ts'
import { Window } from '../../../../lib/images/window.ts'
import { MiB, missing, tool } from '../../../helpers/disks.ts'

const skip = missing('mkfs.fat', 'fsck.fat', 'mcopy', 'mdir', 'mmd')
const folder = mkdtempSync(join(tmpdir(), 'fleetsie-live-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const time = Date.UTC(2026, 10, 20) / 1000
const file = (name: string): string => join(folder, name)

interface Kind {
  bits: number
  size: number
}
const kinds: Kind[] = [
  { bits: 12, size: MiB },
  { bits: 16, size: 3 * MiB },
  { bits: 32, size: 34 * MiB },
]

/** A medium with a file of the user's in `fleetsie`. */
function medium(name: string, { bits, size }: Kind): string {
  const path = file(name)
  writeFileSync(path, '')
  truncateSync(path, size)
  tool('mkfs.fat', ['-F', String(bits), '-s', '1', path])
  tool('mmd', ['-i', path, '::fleetsie', '::fleetsie/custom'])
  tool('mcopy', ['-i', path, '-', '::fleetsie/wifi.txt'], 'home\r\nword\r\n')
  tool('mcopy', ['-i', path, '-', '::fleetsie/custom/setup'], 'echo hello\n')
  return path
}

async function open<T>(path: string, { size }: Kind, work: (fat: LiveFat) => Promise<T> | T): Promise<T> {
  const fat = new LiveFat(path, size, 'r+')
  try {
    const result = await work(fat)
    await fat.finish()
    return result
  } finally {
    fat.close()
  }
}

const content = (path: string, name: string): string => tool('mcopy', ['-i', path, `::${name}`, '-'])
const isSound = (path: string): void => {
  tool('fsck.fat', ['-n', path])
}

describe('files of a FAT in use are changed in place', { skip }, () => {
  for (const kind of kinds) {
    test(`FAT${kind.bits}: new files, other content, a folder, another name, and one less`, async () => {
      const path = medium(`a${kind.bits}`, kind)
      const big = Buffer.alloc(70_001, 'otp\n')
      await open(path, kind, async (fat) => {
        await fat.write('fleetsie/devices.sqlite', big, time)
        await fat.write('fleetsie/devices.txt', Buffer.from('1 a\n'), time)
        await fat.write('fleetsie/FLEET.TXT', Buffer.alloc(0), time)
        await fat.write('fleetsie/devices.sqlite', Buffer.from('small'), time)
        await fat.write('fleetsie/devices.txt', big, time)
        await fat.rename('fleetsie/custom', 'customize')
        await fat.makeFolder('fleetsie/customize/packages', time)
        await fat.write('fleetsie/customize/packages/größe.deb', Buffer.from('deb'), time)
        await fat.remove('fleetsie/FLEET.TXT')
        assert.deepEqual([...fat.list('fleetsie').keys()].sort(), [
          'customize',
          'devices.sqlite',
          'devices.txt',
          'wifi.txt',
        ])
      })
      isSound(path)
      assert.equal(content(path, 'fleetsie/devices.sqlite'), 'small')
      assert.equal(content(path, 'fleetsie/devices.txt'), String(big))
      assert.equal(content(path, 'fleetsie/wifi.txt'), 'home\r\nword\r\n')
      assert.equal(content(path, 'fleetsie/customize/setup'), 'echo hello\n')
      assert.equal(content(path, 'fleetsie/customize/packages/größe.deb'), 'deb')
    })

    test(`FAT${kind.bits}: so many names that the folder grows`, async () => {
      const path = medium(`b${kind.bits}`, kind)
      await open(path, kind, async (fat) => {
        for (let i = 0; i < 40; i++) {
          await fat.write(
            `fleetsie/${'a long name of a file '.repeat(3)}${i}.text`,
            Buffer.from(`${i}`),
            time,
          )
        }
        assert.equal(fat.list('fleetsie').size, 42)
      })
      isSound(path)
      assert.equal(content(path, `fleetsie/${'a long name of a file '.repeat(3)}39.text`), '39')
    })

    test(`FAT${kind.bits}: cut after any write, a file is the old one or the new one, and the next run mends`, async () => {
      const stock = medium(`c${kind.bits}`, kind)
      const old = Buffer.alloc(3000, 'old')
      const fresh = Buffer.alloc(5000, 'new')
      await open(stock, kind, (fat) => fat.write('fleetsie/devices.sqlite', old, time))
      const path = file('cut')
      const work = async (fat: LiveFat): Promise<void> => {
        await fat.dropTwin('fleetsie/custom', 'fleetsie/customize')
        await fat.write('fleetsie/devices.sqlite', fresh, time)
        await fat.write('fleetsie/devices.txt', fresh, time)
        await fat.remove('fleetsie/wifi.txt')
        if (fat.find('fleetsie/customize') === undefined) await fat.rename('fleetsie/custom', 'customize')
      }
      const write = Window.prototype.write
      let done = false
      let cuts = 0
      // Of the largest, each third will do.
      for (let at = 1; !done; at += kind.bits === 32 ? 3 : 1) {
        copyFileSync(stock, path)
        let count = 0
        const cut = mock.method(
          Window.prototype,
          'write',
          function (this: Window, position: number, bytes: Buffer) {
            if (++count >= at)
              throw Object.assign(new Error('EIO: pulled'), { code: 'EIO', syscall: 'write' })
            write.call(this, position, bytes)
          },
        )
        done = await open(path, kind, work).then(
          () => true,
          () => false,
        )
        cut.mock.restore()
        if (!done) cuts++
        const is = content(path, 'fleetsie/devices.sqlite')
        assert.ok(is === String(old) || is === String(fresh), `after ${at} writes it is neither`)
        const folders = tool('mdir', ['-b', '-i', path, '::fleetsie'])
        assert.match(folders, /custom/)
        await open(path, kind, work)
        isSound(path)
        assert.equal(content(path, 'fleetsie/devices.txt'), String(fresh))
        assert.equal(content(path, 'fleetsie/customize/setup'), 'echo hello\n')
      }
      assert.ok(cuts > 10, `${cuts} cuts`)
    })

    test(`FAT${kind.bits}: a full medium says so, and stays sound`, async () => {
      const path = medium(`d${kind.bits}`, kind)
      await open(path, kind, async (fat) => {
        const all = Buffer.alloc(fat.free() + 1)
        await assert.rejects(fat.write('fleetsie/devices.txt', all, time), { code: 'E_IO' })
        assert.equal(fat.find('fleetsie/devices.txt'), undefined)
      })
      isSound(path)
    })
  }
})
