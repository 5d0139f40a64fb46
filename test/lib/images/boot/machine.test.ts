import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { qemuArguments, requireBootCode } from '../../../../lib/images/boot/machine.ts'

const machine = {
  disk: '/var/a,b.img',
  kept: undefined,
  usb: [],
  forwards: [],
  memory: 512,
  cpus: 1,
  kvm: false,
}

describe('a machine', () => {
  const table: [title: string, change: Partial<typeof machine> | object, wanted: string][] = [
    [
      'writes to a snapshot, whatever its name holds',
      {},
      'file=/var/a,,b.img,format=raw,if=virtio,snapshot=on',
    ],
    ['keeps what it writes beside the disk', { kept: '/k.qcow2' }, 'file=/k.qcow2,format=qcow2,if=virtio'],
    [
      'is reached from this machine alone',
      { forwards: [{ host: 2222, guest: 22 }] },
      'hostfwd=tcp:127.0.0.1:2222-:22',
    ],
    ['has USB disks', { usb: ['/s.img'] }, 'if=none,id=usb0,format=raw,file=/s.img'],
    ['is run by the kernel where that can', { kvm: true }, '-accel kvm'],
  ]
  for (const [title, change, wanted] of table) {
    it(title, () => {
      const args = qemuArguments({ ...machine, ...change }).join(' ')
      assert.ok(args.includes(wanted), args)
    })
  }

  it('starts only where there is boot code', () => {
    const sector = Buffer.alloc(512)
    sector.writeUInt16LE(0xaa55, 510)
    assert.throws(
      () => requireBootCode(sector),
      (error) => error instanceof FleetsieError && error.code === 'E_UNSUPPORTED',
    )
    sector[0] = 0xeb
    requireBootCode(sector)
  })
})
