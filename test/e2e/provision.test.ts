/**
 * From a disk that `gen` has written to a device that its manager reaches: the Debian image of this project boots in software
 * emulation beside a real fleet server, provisions itself, is reached through its port, and is the same after the plug was
 * pulled. FLEETSIE_TEST_DEBIAN_IMAGE (.img.xz or .img) spares the build.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { blankCard, loopDevice } from '../helpers/cards.ts'
import { buildDebian, debianCheckout } from '../helpers/debian-target.ts'
import { boot, type Machine } from '../helpers/machine.ts'
import { ManagedFleet } from '../helpers/managed-fleet.ts'
import { needs, needsRoot } from '../helpers/needs.ts'

/** Emulated, on a machine that may have other work to do. */
const patience = 600
const unit = 'fleetsie-provision.service'
const place = '192.0.2.1'
const skip =
  needsRoot || needs('qemu-system-x86_64', 'qemu-img', 'mcopy', 'mkfs.fat', 'mmdebstrap', 'losetup')

describe('an image of this project provisions itself', { skip }, () => {
  let tmp = ''
  let disk = ''
  let stick = ''
  let fleet: ManagedFleet | undefined
  let machine: Machine | undefined

  before(async () => {
    tmp = mkdtempSync(join(tmpdir(), 'fleetsie-test-provision-'))
    let image = process.env['FLEETSIE_TEST_DEBIAN_IMAGE']
    if (!image) {
      const scratch = await debianCheckout()
      try {
        image = join(tmp, 'debian.img.xz')
        execFileSync('cp', [await buildDebian(scratch), image])
      } finally {
        await scratch.remove()
      }
    }
    const raw = image.endsWith('.img') ? image : join(tmp, 'disk.img')
    if (raw !== image) {
      const xz = spawnSync('sh', ['-c', 'exec xz -dc -T0 -- "$1" >"$2"', 'sh', image, raw])
      assert.equal(xz.status, 0, String(xz.stderr))
    }
    disk = join(tmp, 'disk.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', raw, '-F', 'raw', disk])
    fleet = await ManagedFleet.start()
  })
  after(async () => {
    await machine?.kill()
    await fleet?.stop()
    rmSync(tmp, { recursive: true, force: true })
  })

  const onStick = (name: string): string =>
    execFileSync('mcopy', ['-i', stick, `::/fleetsie/${name}`, '-'], {
      encoding: 'utf8',
      env: { ...process.env, MTOOLS_SKIP_CHECK: '1' },
    })

  /** Runs a command on the device, through the server and the port that is reserved for it. */
  const onDevice = async (command: string): Promise<string> =>
    (await fleet!.does('ssh', 'barn_x-1', '-o', 'StrictHostKeyChecking=accept-new', command)).stdout

  const state = `hostname; systemctl is-enabled ${unit} ssh-tunnel.service; readlink .ssh/fleetsie_tunnel_port
    stat -c '%a %U %n' .ssh/fleetsie .ssh/authorized_keys; sha256sum .ssh/fleetsie; id -un`

  it('claims its place with the disk, and its manager logs in to it', async (t) => {
    stick = blankCard(join(tmp, 'stick.img'), 64 * 1024 * 1024)
    execFileSync('mkfs.fat', ['-n', 'FLEETSIE', stick], { stdio: 'pipe' })
    const undo: (() => void)[] = []
    const device = loopDevice((work) => undo.push(work), stick)
    await fleet!.does('gen', 'barn_x', place, '2', basename(device))
    for (const work of undo) work()
    writeFileSync(join(tmp, 'setup'), '#!/bin/sh\r\necho "customized in $PWD" >/var/lib/customized\r\n')
    execFileSync('mcopy', ['-i', stick, join(tmp, 'setup'), '::/fleetsie/customize/'], { stdio: 'pipe' })
    assert.match(onStick('devices.txt'), /^1 [0-9a-f]{256}\n2 [0-9a-f]{256}\n$/)

    const started = Date.now()
    const usb = ['-device', 'qemu-xhci', '-drive', `if=none,id=stick,format=raw,file=${stick}`]
    machine = boot(disk, [...usb, '-device', 'usb-storage,drive=stick,removable=on'], {
      keep: true,
      network: true,
      by: (argv) => fleet!.server.enter(argv),
    })
    for (const step of [
      /Welcome to|Debian GNU\/Linux/,
      /reads fleetsie\/fleet\.txt of \/dev\/sda/,
      /asks 192\.0\.2\.1 for a place in the fleet barn_x/,
      /taken this device in as barn_x-1/,
      /installs the tunnel/,
      /logs in at the server with the new key/,
      /takes device 1 from the disk/,
      /runs fleetsie\/customize\/setup/,
      new RegExp(`everything has succeeded; ${unit} is disabled`),
    ]) {
      const [said] = await machine.says(new RegExp(`(?:${step.source})|stays enabled`), patience)
      assert.match(said, step, machine.said.slice(-3000))
      t.diagnostic(`${((Date.now() - started) / 1000).toFixed(0)} s: ${said}`)
    }
    await fleet!.online('barn_x', 1)
    t.diagnostic(`${((Date.now() - started) / 1000).toFixed(0)} s: the server sees it`)

    const said = await onDevice(`${state}; cat /var/lib/customized`)
    t.diagnostic(`${((Date.now() - started) / 1000).toFixed(0)} s: its manager has logged in`)
    assert.match(
      said,
      /^barn-x-1\ndisabled\nenabled\n(2\d{4})\n600 fleetsie \.ssh\/fleetsie\n600 fleetsie \.ssh\/authorized_keys\n\w{64} .*\nfleetsie\ncustomized in .*\/fleetsie\/customize\n$/,
    )
    assert.equal(onStick('claimed.txt'), '1\n')
    assert.match(onStick('devices.txt'), /^2 [0-9a-f]{256}\n$/)
    assert.match(onStick('fleetsie_provisioning_log.txt'), /52:54:00:\S+ the server has taken this device in/)
  })

  it('and is the same after the plug was pulled, without the disk; the tunnel comes back', async (t) => {
    const before = await onDevice(state)
    await machine!.kill()
    await fleet!.online('barn_x', 0)
    const started = Date.now()
    machine = boot(disk, [], { keep: true, network: true, by: (argv) => fleet!.server.enter(argv) })
    await machine.says(/barn-x-1 login:/, patience)
    t.diagnostic(`${((Date.now() - started) / 1000).toFixed(0)} s: it has booted`)
    await fleet!.online('barn_x', 1)
    t.diagnostic(`${((Date.now() - started) / 1000).toFixed(0)} s: the tunnel is back`)
    assert.equal(await onDevice(state), before)
    assert.doesNotMatch(machine.said, /fleetsie_provision:/)
    assert.equal(
      readFileSync(fleet!.server.file('/run/fleetsie/dev/barn_x/.barn_x-1'), 'utf8').match(/^user .*/m)?.[0],
      'user fleetsie',
    )
  })
})
