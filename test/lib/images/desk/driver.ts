/** Mounts and unmounts a desk in a process of its own: as another user, or to be killed. */
import { runner } from '../../../../lib/engine/process.ts'
import { toFleetsieError } from '../../../../lib/errors.ts'
import { attachDesk } from '../../../../lib/images/desk/attach.ts'
import { detachDesk } from '../../../../lib/images/desk/detach.ts'
import { withDeskLock } from '../../../../lib/images/desk/lock.ts'
import { deskState } from '../../../../lib/images/desk/state.ts'
import { readPartitionTable } from '../../../../lib/images/partitions.ts'

const [verb, folder = '', disk = ''] = process.argv.slice(2)
const run = runner({ home: folder })
const notes: string[] = []

async function act(): Promise<unknown> {
  switch (verb) {
    case 'attach': {
      const table = await readPartitionTable(disk)
      const hear = (line: string): void => void notes.push(line)
      const signal = new AbortController().signal
      return attachDesk({ folder, disk, table, run, note: hear, warn: hear, signal })
    }
    case 'detach':
      return detachDesk({ folder, run })
    default:
      return (await deskState(folder)).is
  }
}

// `hold` keeps the lock until it is killed.
if (verb === 'hold') {
  await withDeskLock(folder, async () => {
    process.stdout.write('held\n')
    await new Promise((resolve) => process.stdin.once('close', resolve).resume())
  })
} else {
  try {
    const result = await withDeskLock(folder, act)
    process.stdout.write(JSON.stringify({ result, notes }))
  } catch (error) {
    const { code, message, hint } = toFleetsieError(error)
    process.stdout.write(JSON.stringify({ error: { code, message, hint }, notes }))
    process.exitCode = 1
  }
}
