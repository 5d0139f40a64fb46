/** `watch --sync`: each edit is on the device before the image is there, and before `--then` runs. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { MiB } from '../helpers/disks.ts'
import { scratchCheckout } from '../helpers/scratch.ts'
import { skip, syncedDevice } from '../helpers/synced-device.ts'
import { edit, Watching } from '../helpers/watching.ts'

describe('watch --sync', { skip }, () => {
  const { at, text, device } = syncedDevice()

  it('is over before --then runs', async () => {
    const scratch = await scratchCheckout()
    await scratch.write('overlays/part_2/srv/then', 'x'.repeat(8 * MiB))
    const args = ['sample', '--until', 'overlay', '--sync', 'root', '--then', `stat -c %s ${at('srv/then')}`]
    const watching = new Watching(scratch, args)
    try {
      const told = await watching.until(({ type }) => type === 'output')
      assert.match(JSON.stringify(told.at(-1)), new RegExp(`"${8 * MiB}"`))
    } finally {
      await watching.interrupt()
      await scratch.remove()
    }
  })

  it('is what watch does after each edit, before the image is there', async () => {
    const scratch = await scratchCheckout()
    await scratch.write('overlays/part_2/srv/watched', 'first')
    const watching = new Watching(scratch, ['sample', '--until', 'save', '--sync', 'root'])
    const synced = (event: BuildEvent): boolean => event.type === 'note' && event.stage === 'sync'
    try {
      const first = await watching.until(synced)
      assert.ok(!first.some((event) => event.type === 'stage' && event.stage === 'save'))
      assert.equal(text('srv/watched'), 'first')
      await watching.ready()
      await edit(scratch, 'overlays/part_2/srv/watched', 'second')
      const [line] = (await watching.until(synced)).slice(-1)
      assert.match(JSON.stringify(line), /1 file, 6 bytes in /)
      assert.equal(text('srv/watched'), 'second')
      await watching.ready()

      await device().stop()
      await edit(scratch, 'overlays/part_2/srv/watched', 'third')
      const lost = await watching.until((event) => event.type === 'warning' && event.stage === 'sync')
      assert.match(JSON.stringify(lost.at(-1)), /root: .*(cannot be reached|connection was lost)/)
      assert.equal((await watching.ready()).ready.result, 'built')
      await device().start()
      await edit(scratch, 'overlays/part_2/srv/watched', 'fourth')
      await watching.until(synced)
      assert.equal(text('srv/watched'), 'fourth')
    } finally {
      await watching.interrupt()
      await scratch.remove()
    }
  })
})
