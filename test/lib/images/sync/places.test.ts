import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { type ImagePlaces, mountOf, mountsBelow } from '../../../../lib/images/sync/places.ts'
import { parseProbe, probeCommand } from '../../../../lib/images/sync/probe.ts'

/** What a Raspberry Pi says. */
const raspberry = `Welcome!
fleetsie-probe-begins
rights sudo
user pi
tar gnu
21 1 179:2 / / rw,relatime shared:1 - ext4 /dev/x rw
22 1 0:22 / /proc rw,relatime shared:1 - ext4 /dev/x rw
23 1 0:25 / /tmp rw,relatime shared:1 - ext4 /dev/x rw
24 1 179:1 / /boot/firmware rw,relatime shared:1 - ext4 /dev/x rw
25 1 179:2 /srv/share /mnt/share rw,relatime shared:1 - ext4 /dev/x rw
26 1 8:1 / /mnt/a\\040disk rw,relatime shared:1 - ext4 /dev/x rw
partition 1 179:1
partition 2 179:2
partition 3 179:3
fleetsie-probe-ends
`
const image: ImagePlaces = { root: 2, fstab: new Map([[1, '/boot/firmware']]) }

describe('the probe of a device', () => {
  it('is read behind what a login shell prints', () => {
    const probe = parseProbe(raspberry)
    assert.deepEqual([probe.rights, probe.user, probe.gnuTar], ['sudo', 'pi', true])
    assert.deepEqual(probe.mounts.at(-1), { device: '8:1', root: '/', at: '/mnt/a disk' })
    assert.equal(probe.partitions.get(3), '179:3')
  })

  it('is refused when it breaks off', () => {
    const half = raspberry.slice(0, raspberry.indexOf('partition 2'))
    for (const text of ['', 'PTY allocation request failed', half]) {
      assert.throws(() => parseProbe(text), { code: 'E_UNSUPPORTED' })
    }
  })

  for (const shell of ['sh', 'bash', 'busybox sh']) {
    it(`is answered by ${shell} with the mounts of this machine`, () => {
      const [command = '', ...args] = shell.split(' ')
      const probe = parseProbe(
        execFileSync(command, [...args, '-c', probeCommand], { encoding: 'utf8', input: '' }),
      )
      assert.ok(probe.mounts.some(({ at }) => at === '/'))
      assert.equal(probe.rights === 'root', process.getuid?.() === 0)
      // Debian's busybox prefers the tar of its own.
      assert.equal(probe.gnuTar, shell !== 'busybox sh')
    })
  }
})

describe('a partition is found on the device', () => {
  const probe = parseProbe(raspberry)

  it('at / when the image has its system there', () => assert.equal(mountOf(2, probe, image), ''))

  it('where the kernel says that this partition of the root disk is mounted', () => {
    assert.equal(mountOf(1, probe, { root: 2, fstab: new Map([[1, '/boot']]) }), '/boot/firmware')
  })

  it('nowhere when it is not mounted, or only a folder of it', () => {
    assert.equal(mountOf(3, probe, image), undefined)
    assert.equal(mountOf(2, probe, { root: 3, fstab: new Map() }), undefined)
  })

  it('by the fstab of the image when the root is no partition, and something is mounted there', () => {
    const overlay = { ...probe, partitions: new Map<number, string>() }
    assert.equal(mountOf(1, overlay, image), '/boot/firmware')
    assert.equal(mountOf(1, overlay, { root: 2, fstab: new Map([[1, '/boot']]) }), undefined)
    assert.equal(mountOf(4, overlay, image), undefined)
  })

  it('and what is mounted below it is known', () => {
    assert.deepEqual(mountsBelow('', probe.mounts), [
      '/boot/firmware',
      '/mnt/a disk',
      '/mnt/share',
      '/proc',
      '/tmp',
    ])
    assert.deepEqual(mountsBelow('/boot/firmware', probe.mounts), [])
  })
})
