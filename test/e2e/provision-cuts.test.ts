/** fleetsie_provision and what gets lost: answers that end after each of their bytes, and the power, after each step. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { DeviceRoot, type Keys, makeKeys } from '../helpers/device-root.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { provisioned } from '../helpers/provisioned.ts'

const skip = needsRoot || needs('dash', 'unshare', 'sqlite3')

const claims = (device: DeviceRoot): string[] =>
  readdirSync(join(device.root, 'fake/server')).filter((name) => name.startsWith('claim-'))

describe('what gets lost on the way', { skip, concurrency: 3 }, () => {
  let keys: Keys
  before(() => {
    keys = makeKeys()
  })
  const withDevice = async (work: (device: DeviceRoot) => Promise<void>): Promise<void> => {
    const device = new DeviceRoot(keys)
    try {
      await work(device)
    } finally {
      device.destroy()
    }
  }

  it('an answer that ends after any of its bytes is asked for again, and is the same device', async () => {
    await withDevice(async (device) => {
      await device.run(['dash'])
      const length = 'Ok\n\n\nfield-1\nfleetsie_field\n20001\n'.length + 2 * keys.login.length + 40
      const all = Array.from({ length }, (_, bytes) => bytes)
      for (let from = 0; from < length; from += 19) {
        await withDevice(async (again) => {
          again.write('fake/cuts', `${all.slice(from, from + 19).join('\n')}\n`)
          const { status, said } = await again.run(['dash'])
          assert.equal(status, 0, said)
          provisioned(again, 1)
          assert.deepEqual(claims(again), ['claim-1'])
        })
      }
    })
  })

  it('a place that was chosen by chance is asked for again when the power is cut before the answer is there', async () => {
    await withDevice(async (device) => {
      device.devices(Array.from({ length: 40 }, (_, index) => index + 1))
      device.write('fake/server/claim-1', 'another\n')
      device.write('fake/power-cut-at-ok', '')
      assert.notEqual((await device.run(['dash'])).status, 0)
      device.reboot()
      const second = await device.run(['dash'])
      assert.equal(second.status, 0, second.said)
      assert.match(second.said, /goes on with the claim of device/)
      assert.equal(claims(device).length, 2, 'another, and this one once')
    })
  })

  /** A run without a cut takes fewer; the last ones are then no cut at all. */
  const steps = 66
  for (let step = 1; step <= steps; step += 3) {
    it(`when the power is cut at step ${step}, the next boot goes on and it is one device`, async () => {
      await withDevice(async (device) => {
        device.disk('customize/setup', 'echo ran >>/var/lib/ran\n')
        device.write('fake/power-cut', `${step}\n`)
        const first = await device.run(['dash'])
        const cut = device.read('fake/power-cut') === undefined
        assert.equal(first.status === 0, !cut, first.said)
        device.reboot()
        if (cut) {
          const second = await device.run(['dash'])
          assert.equal(second.status, 0, second.said)
        }
        assert.equal(device.read('etc/hostname'), 'field-1\n')
        assert.deepEqual(claims(device), ['claim-1'])
        assert.equal(device.onDisk('claimed.txt'), '1\n')
        assert.match(device.read('var/lib/ran')!, /^(ran\n){1,2}$/)
        assert.deepEqual(readdirSync(join(device.root, 'var/lib/fleetsie')).sort(), [
          'claimed',
          'hwid',
          'status',
        ])
      })
    })
  }
})
