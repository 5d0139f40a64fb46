/** A running device behind a real sshd, and what `--sync` pushes to it; the device's own tree judges that. */
import assert from 'node:assert/strict'
import { chmodSync, linkSync, mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before } from 'node:test'
import type { Pushed } from '../../lib/images/sync/push-partition.ts'
import { createSync, type Sync } from '../../lib/images/sync/sync.ts'
import { Device, type LayerSet } from './device.ts'
import { missing, tool } from './disks.ts'
import { needsRoot } from './needs.ts'

const never = new AbortController().signal
export const skip =
  needsRoot || missing('ssh', 'sshd', 'ssh-keygen', 'unshare', 'chroot', 'busybox', 'sudo', 'setfattr')

function stock(root: string): void {
  const write = (name: string, text: string, mode = 0o644): void => {
    mkdirSync(join(root, name, '..'), { recursive: true })
    writeFileSync(join(root, name), text)
    chmodSync(join(root, name), mode)
  }
  write('etc/hostname', 'stock\n')
  write('etc/list.d/a', 'a\n')
  write('etc/list.d/b', 'b\n')
  write('srv/real/kept', 'kept\n')
  symlinkSync('/srv/real', join(root, 'srv/link'))
  write('srv/tree/one', 'one\n', 0o600)
  write('srv/tree/deep/two', 'two\n')
  linkSync(join(root, 'srv/tree/one'), join(root, 'srv/tree/same'))
  symlinkSync('../one', join(root, 'srv/tree/deep/back'))
  utimesSync(join(root, 'srv/tree/one'), 1_600_000_000, 1_600_000_000)
}

/** For a suite: a device that all its tests share, and pushes to it, whose connections end with each test. */
export function syncedDevice() {
  let device: Device
  const opened: Sync[] = []
  const warnings: string[] = []
  const sync = (destination = 'root'): Sync => {
    const made = createSync({ destination, warn: (line) => warnings.push(line) })
    opened.push(made)
    return made
  }
  const push = async (to: Sync, ...sets: LayerSet[]): Promise<Pushed> =>
    to.push(await device.request(...sets), never)
  const at = (path: string): string => join(device.root, path)
  const text = (path: string): string => readFileSync(at(path), 'utf8')

  /** The programs that hold connections. */
  const connections = (): string[] =>
    tool('ps', ['-eo', 'args'])
      .split('\n')
      .filter((line) => line.includes(device.folder) && line.includes('ControlMaster=yes'))

  before(async () => {
    device = await Device.make(stock)
  })
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close()
    warnings.length = 0
    assert.deepEqual(device.leftovers(), [])
  })
  after(() => device?.remove())
  return { sync, push, at, text, connections, warnings, device: () => device }
}
