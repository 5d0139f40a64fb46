/** The `grow` option of save: how large an image becomes, and its last partition with it. */
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { growPartition } from '../grow.ts'
import { maxImageSize } from '../limits.ts'
import type { PartitionTable } from '../partition-table.ts'

const units: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }
/** Every filesystem that can grow has blocks that divide this. */
const grain = 4096

/** `4G`, the size of the image, or `+512M`, what it gains; in bytes, whole MiB. Fails with E_INPUT below `now` or above 256 GiB. */
export function grownSize(text: string, now: number): number {
  const match = /^(\+?)(\d+)([KMG]?)$/.exec(text)!
  const amount = Number(match[2]) * units[match[3]!]!
  const wanted = match[1] === '+' ? now + amount : amount
  const size = Math.ceil(wanted / 2 ** 20) * 2 ** 20
  if (size > maxImageSize) {
    throw new FleetsieError('E_INPUT', `\`grow: '${text}'\` makes an image of more than 256 GiB`, {
      hint: 'give a smaller size: the device enlarges its filesystem to the card at the first boot',
    })
  }
  if (size >= now) return size
  throw new FleetsieError('E_INPUT', `the image has ${now} bytes and cannot become ${wanted}`, {
    hint: '`grow` takes a larger size, or +512M to say how much is added',
  })
}

/** Enlarges the image file `disk` to `to` bytes; the last partition takes what is added. */
export async function growImage(request: {
  run: Run
  disk: string
  table: PartitionTable
  to: number
  epoch: number
  tmp: string
}): Promise<void> {
  const { table, to, ...rest } = request
  const last = [...table.partitions].sort((a, b) => a.offset - b.offset).at(-1)!
  const size = Math.floor((last.size + to - table.size) / grain) * grain
  if (size <= last.size) return
  await growPartition({ ...rest, partition: last, size, diskSize: to })
}
