/** Cases of fleetsie_provision: what a device finds, what it is answered, and what has come of it. */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { DeviceRoot, type Ended, type Keys, makeKeys } from './device-root.ts'
import { needs, needsRoot } from './needs.ts'
import { provisioned } from './provisioned.ts'

export const log = 'fleetsie_provisioning_log.txt'
const shells = [['dash'], ['busybox', 'sh']]

export function stopped({ status, said }: Ended, device: DeviceRoot, why: RegExp): void {
  assert.equal(status, 1, said)
  assert.match(device.status['why'] ?? '', why, said)
  assert.equal(device.status['state'], 'failed')
  assert.match(said, /stays enabled and tries again at the next boot/)
  assert.doesNotMatch(device.read('fake/calls') ?? '', /disable/)
}

export interface Case {
  title: string
  prepare: (device: DeviceRoot) => void
  environment?: Record<string, string>
  check: (ended: Ended, device: DeviceRoot) => void | Promise<void>
}

/** `reply` is the server's answer, with KEY for the device's key. */
export const replied = (reply: string, why: RegExp): Pick<Case, 'prepare' | 'check'> => ({
  prepare: (device) => device.write('fake/reply', reply),
  check(ended, device) {
    stopped(ended, device, why)
    assert.equal(device.read('etc/hostname'), 'debian\n')
    assert.equal(device.read('tmp/run'), undefined)
    assert.equal(device.read('opt/fleetsie/fleet_extra'), undefined)
  },
})
export const onDisk =
  (name: string, content: string | Buffer) =>
  (device: DeviceRoot): void =>
    device.disk(name, content)
export const succeeds =
  (id = 1) =>
  (ended: Ended, device: DeviceRoot): void => {
    assert.equal(ended.status, 0, ended.said)
    provisioned(device, id)
  }
export const fails =
  (why: RegExp) =>
  (ended: Ended, device: DeviceRoot): void =>
    stopped(ended, device, why)

/** Runs each case on a device of its own, under each shell. */
export function underEveryShell(title: string, cases: readonly Case[]): void {
  for (const shell of shells) {
    describe(`${title} under ${shell.join(' ')}`, {
      skip: needsRoot || needs(shell[0]!, 'unshare', 'sqlite3', 'perl'),
      concurrency: 3,
    }, () => {
      let keys: Keys
      before(() => {
        keys = makeKeys()
      })
      for (const test of cases) {
        it(test.title, async () => {
          const device = new DeviceRoot(keys)
          try {
            test.prepare(device)
            const ended = await device.run(shell, test.environment)
            await test.check(ended, device)
          } finally {
            device.destroy()
          }
        })
      }
    })
  }
}
