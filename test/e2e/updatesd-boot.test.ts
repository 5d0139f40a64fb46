/**
 * The Debian target on a card: written by `updatesd` to a loop device, which then boots in software emulation.
 * FLEETSIE_TEST_DEBIAN_IMAGE (.img.xz) spares the build.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { blankCard, loopDevice, reports } from '../helpers/cards.ts'
import { buildDebian, debianCheckout } from '../helpers/debian-target.ts'
import { MiB, missing, tool } from '../helpers/disks.ts'
import { boot } from '../helpers/machine.ts'
import { needsRoot } from '../helpers/needs.ts'

/** Emulated, on a machine that may have other work to do. */
const patience = 900

test('a loop device that was written boots, under its own name', {
  skip: needsRoot || missing('losetup', 'qemu-system-x86_64', 'xz', 'debugfs', 'cmp'),
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-card-boot-'))
  const scratch = await debianCheckout()
  t.after(async () => {
    rmSync(folder, { recursive: true, force: true })
    await scratch.remove()
  })
  const given = process.env['FLEETSIE_TEST_DEBIAN_IMAGE']
  if (!given) await buildDebian(scratch)
  const device = loopDevice((undo) => t.after(undo), blankCard(join(folder, 'card.img'), 2500 * MiB))
  const image = given ?? 'debian'
  const args = ['updatesd', '--json', '--whole', device, '--image', image, '-y', '--set', 'hostname=card-7']
  const env = { XDG_CACHE_HOME: join(folder, 'cache') }
  const [report] = reports(await scratch.run(args, { env }))
  assert.equal(report!.how, 'compared')
  const machine = boot(device)
  t.after(() => machine.kill())
  await machine.says(/card-7 login:/, patience)
  assert.doesNotMatch(machine.said, /ordering cycle|emergency mode/)
  await machine.kill()
  // The same again writes only what the device's name has touched, and finds that by its receipt.
  const [again] = reports(await scratch.run(args, { env }))
  assert.equal(again!.how, 'receipt')
  assert.ok(again!.bytesWritten < 16 * MiB, `${again!.bytesWritten}`)
  tool('blockdev', ['--flushbufs', device])
})
