/** Mounts and unmounts a desk with its overlays/, in a process of its own: as another user, or to be killed. */
import { runner } from '../../../../lib/engine/process.ts'
import { toFleetsieError } from '../../../../lib/errors.ts'
import { attachDesk } from '../../../../lib/images/desk/attach.ts'
import { detachDesk } from '../../../../lib/images/desk/detach.ts'
import { chooseForm } from '../../../../lib/images/desk/form.ts'
import { layOut } from '../../../../lib/images/desk/lay-out.ts'
import { withDeskLock } from '../../../../lib/images/desk/lock.ts'
import { planMounts } from '../../../../lib/images/desk/plan.ts'
import { takeIn } from '../../../../lib/images/desk/take-in.ts'
import { readPartitionTable } from '../../../../lib/images/partitions.ts'

const [verb, folder = '', disk = ''] = process.argv.slice(2)
const notes: string[] = []
const hear = (line: string): void => void notes.push(line)
const { signal } = new AbortController()
const desk = {
  folder,
  disk,
  run: runner({ home: folder }),
  caller: undefined,
  note: hear,
  warn: hear,
  signal,
}

try {
  await withDeskLock(folder, async () => {
    const table = await readPartitionTable(disk)
    const { attachment, partitions } = planMounts(table, await chooseForm(folder), () => {})
    for (const [index, form] of attachment.parts.entries()) {
      const part = { partition: partitions[index]!, form }
      if (verb === 'mount' || verb === 'lay') await layOut(desk, part)
      else await takeIn(desk, part)
    }
    if (verb === 'mount') await attachDesk({ ...desk, table })
    if (verb === 'unmount') await detachDesk(desk)
  })
  process.stdout.write(JSON.stringify({ notes }))
} catch (error) {
  const { code, message, hint } = toFleetsieError(error)
  process.stdout.write(JSON.stringify({ error: { code, message, hint }, notes }))
  process.exitCode = 1
}
