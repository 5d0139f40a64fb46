import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, mock, test } from 'node:test'
import type { DiskPlace } from '../../../../lib/fleet/disk/place.ts'
import { steps } from '../../../../lib/fleet/registry/server.ts'
import { Window } from '../../../../lib/images/window.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { Desk, hostnames, skip } from './desk.ts'

const top = mkdtempSync(join(tmpdir(), 'fleetsie-gen-cut-'))
after(() => rmSync(top, { recursive: true, force: true }))

describe('gen that is cut allocates nothing twice', { skip }, () => {
  for (const step of [...steps, 'reply'] as const) {
    test(`the server dies at "${step}": the same request is sent again`, async () => {
      const desk = new Desk(top)
      desk.server.breakAt = step
      const outcome = await desk.gen(2, desk.disk)
      assert.deepEqual(hostnames(outcome), ['hull-1', 'hull-2'])
      assert.deepEqual(desk.allocated(), ['hull-1', 'hull-2'])
      assert.equal(desk.rows().length, 2)
      assert.equal(desk.server.asked[0]!.request, desk.server.asked[1]!.request)
    })
  }

  test('the disk fails after the server has answered: the next call goes on, with the same key', async () => {
    const desk = new Desk(top)
    const place = await desk.find(desk.disk)
    let written = 0
    const broken: DiskPlace = Object.create(place, {
      name: { value: desk.disk },
      apply: {
        value: async (...args: Parameters<DiskPlace['apply']>) => {
          // The first is the new key.
          if (++written > 1) throw Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'write' })
          await place.apply(...args)
        },
      },
      list: { value: place.list.bind(place) },
      read: { value: place.read.bind(place) },
      free: { value: place.free.bind(place) },
      close: { value: place.close.bind(place) },
    })
    await assert.rejects(desk.gen(2, broken))
    assert.equal(desk.pending.length, 1)
    desk.abandon()
    const outcome = await desk.gen(2, desk.disk)
    assert.deepEqual(hostnames(outcome), ['hull-1', 'hull-2'])
    assert.deepEqual(desk.allocated(), ['hull-1', 'hull-2'])
    assert.equal(desk.server.asked[0]!.disk!.lot, outcome.disk!.lot)
    assert.deepEqual(desk.pending, [])
    assert.match(desk.noted.join(), /going on with the call of/)
    assert.ok(!readdirSync(desk.at('.')).some((file) => file.endsWith('.new')))
  })

  test('a stick that is pulled at any of its writes: the next call makes it whole, and nothing twice', async () => {
    const desk = new Desk(top)
    const write = Window.prototype.write
    let cuts = 0
    for (let at = 3, whole = false; !whole; at += 11) {
      const image = join(desk.folder, `usb-${at}.img`)
      writeFileSync(image, '')
      truncateSync(image, 4 * MiB)
      tool('mkfs.fat', [image])
      let count = 0
      const cut = mock.method(Window.prototype, 'write', function (this: Window, to: number, bytes: Buffer) {
        if (++count >= at) throw Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'write' })
        write.call(this, to, bytes)
      })
      whole = await desk.gen(2, `./usb-${at}.img`).then(
        () => true,
        () => false,
      )
      cut.mock.restore()
      if (whole) break
      desk.abandon()
      await desk.gen(2, `./usb-${at}.img`)
      assert.equal(desk.allocated().length, 2 * ++cuts, `pulled at write ${at}`)
      tool('fsck.fat', ['-n', image])
      const list = tool('mcopy', ['-i', image, '::fleetsie/devices.txt', '-'])
      assert.equal(list.split('\n').length, 3)
      assert.ok(!tool('mdir', ['-b', '-i', image, '::fleetsie']).includes('.new'))
    }
    assert.ok(cuts > 3, `${cuts} cuts`)
  })

  test('two at once get different devices', async () => {
    const desk = new Desk(top)
    const both = await Promise.all([desk.gen(2), desk.gen(2)])
    assert.deepEqual(both.flatMap(hostnames).sort(), ['hull-1', 'hull-2', 'hull-3', 'hull-4'])
  })

  test('ports that do not suffice: E_INPUT, and nothing is allocated', async () => {
    const desk = new Desk(top)
    await desk.gen(9990)
    await assert.rejects(desk.gen(10, desk.disk), { code: 'E_INPUT', exitCode: 1 })
    assert.equal(desk.allocated().length, 9990)
    assert.deepEqual(readdirSync(desk.at('.')), [])
    assert.deepEqual(desk.pending, [])
  })
})
