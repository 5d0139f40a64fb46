/**
 * The finished Debian image, built by the pipeline and booted in software emulation: to multi-user with the overlay's
 * file and the enabled unit; with a USB disk that holds fleetsie/setup, setup has run and the unit is disabled.
 * FLEETSIE_TEST_DEBIAN_IMAGE (.img.xz or .img) spares the build.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildDebian, debianCheckout } from '../helpers/debian-target.ts'
import { boot, type Machine } from '../helpers/machine.ts'
import { needs } from '../helpers/needs.ts'
import type { Scratch } from '../helpers/scratch.ts'

/** Emulated, on a machine that may have other work to do. */
const patience = 600
const unit = 'fleetsie-provision.service'
const motd = 'This device belongs to a fleet'

describe('the Debian image boots', { skip: needs('qemu-system-x86_64', 'mcopy', 'mkfs.fat', 'xz') }, () => {
  let tmp = ''
  let disk = ''
  let scratch: Scratch | undefined
  const machines: Machine[] = []
  const start = (more: readonly string[] = []): Machine => {
    const machine = boot(disk, more)
    machines.push(machine)
    return machine
  }

  before(async () => {
    tmp = mkdtempSync(join(tmpdir(), 'fleetsie-test-boot-'))
    const given = process.env['FLEETSIE_TEST_DEBIAN_IMAGE']
    if (!given) scratch = await debianCheckout()
    const image = given ?? (await buildDebian(scratch!))
    if (image.endsWith('.img')) {
      disk = image
      return
    }
    disk = join(tmp, 'disk.img')
    const xz = spawnSync('sh', ['-c', 'exec xz -dc -T0 -- "$1" >"$2"', 'sh', image, disk])
    assert.equal(xz.status, 0, String(xz.stderr))
  })
  after(async () => {
    for (const machine of machines) await machine.kill()
    rmSync(tmp, { recursive: true, force: true })
    await scratch?.remove()
  })

  it('to multi-user, where the service looks for a disk, says that there is none, and stays', async () => {
    const machine = start()
    await machine.says(/debian login:/, patience)
    // Ordered after multi-user.target, so that this line says that it has been reached.
    await machine.says(
      new RegExp(
        `no disk with fleetsie/setup or fleetsie/fleet.txt within 60 seconds; ${unit} stays enabled`,
      ),
      patience,
    )
    assert.doesNotMatch(machine.said, /ordering cycle|emergency mode|Failed to start/)
    await machine.kill()
  })

  it('and runs fleetsie/setup of a USB disk as root from its folder, once, and disables the service', async () => {
    const stick = join(tmp, 'stick.img')
    execFileSync('mkfs.fat', ['-C', '-n', 'FLEETSIE', stick, '65536'], { stdio: 'pipe' })
    // Says what it finds; and leaves a witness behind that sees the unit being disabled, and turns the machine off.
    const setup = `#!/bin/sh
say() { echo "MARK $*" >/dev/console; }
say "user $(id -un) in $(basename "$PWD") of $(findmnt -n -o FSTYPE -T .)"
say "target $(systemctl is-active multi-user.target)"
say "unit $(systemctl is-enabled ${unit})"
say "motd $(grep -c '${motd}' /etc/motd)"
say "beside $(cat beside.txt)"
echo written >result.txt
systemd-run --quiet --no-block sh -c 'while systemctl is-enabled --quiet ${unit}; do sleep 1; done
  echo "MARK witness $(systemctl is-enabled ${unit})" >/dev/console; systemctl poweroff'
`
    writeFileSync(join(tmp, 'setup'), setup)
    writeFileSync(join(tmp, 'beside.txt'), 'here\n')
    const mtools = (command: string, ...args: string[]): Buffer =>
      execFileSync(command, ['-i', stick, ...args], {
        stdio: 'pipe',
        env: { ...process.env, MTOOLS_SKIP_CHECK: '1' },
      })
    mtools('mmd', '::/fleetsie')
    mtools('mcopy', join(tmp, 'setup'), join(tmp, 'beside.txt'), '::/fleetsie/')

    const usb = ['-device', 'qemu-xhci', '-drive', `if=none,id=stick,format=raw,file=${stick}`]
    const machine = start([...usb, '-device', 'usb-storage,drive=stick,removable=on'])
    for (const [what, wanted] of [
      ['user', 'root in fleetsie of vfat'],
      ['target', 'active'],
      ['unit', 'enabled'],
      ['motd', '1'],
      ['beside', 'here'],
      ['witness', 'disabled'],
    ]) {
      const [, answer] = await machine.says(new RegExp(`MARK ${what} ([^\\r\\n]*)[\\r\\n]`), patience)
      assert.equal(answer, wanted, `what setup says about ${what}`)
    }
    assert.match(machine.said, new RegExp(`everything has succeeded; ${unit} is disabled`))
    await machine.off(patience)
    mtools('mcopy', '::/fleetsie/result.txt', join(tmp, 'result.txt'))
    assert.equal(
      readFileSync(join(tmp, 'result.txt'), 'utf8'),
      'written\n',
      'setup could not write to its disk',
    )
  })
  it('is the same bytes when every stage is built again', async (t) => {
    if (!scratch) {
      t.skip('FLEETSIE_TEST_DEBIAN_IMAGE was given, so nothing was built here')
      return
    }
    const ended = await scratch.run(['build', 'debian', '--check', '--json'])
    assert.equal(ended.code, 0, ended.stdout.slice(-4000) + ended.stderr)
    const equal = ended.events.flatMap((event) =>
      event.type === 'stage' && event.because === 'built again and found equal' ? [event.stage] : [],
    )
    assert.deepEqual(equal.sort(), [
      ...['debian', 'debian-packages', 'decompress', 'install', 'mount', 'overlay', 'save'],
    ])
  })
})
