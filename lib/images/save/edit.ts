/** The edit of a working image: every layer on its partition. */
import type { BuildContext } from '../../engine/stage.ts'
import { applyLayers } from '../apply.ts'
import { beside } from '../beside.ts'
import { checkPartition } from '../check-partition.ts'
import type { PartitionInfo } from '../partitions.ts'
import type { ChangedPiece } from './range-sums.ts'
import type { WorkingImage } from './working-image.ts'

/** The layers of one partition, in their order. */
export interface Change {
  partition: PartitionInfo
  layers: string[]
}

type Context = Omit<BuildContext<unknown>, 'options'>

/**
 * Applies the layers; partitions do not wait for each other. Answers with the pieces that changed. `checkEdit` has yet to
 * judge the filesystems.
 */
export async function editImage(
  context: Context,
  image: WorkingImage,
  changes: readonly Change[],
  epoch: number,
): Promise<readonly ChangedPiece[]> {
  const { run, tmp } = context
  const { disk } = image
  const edits = changes.map(({ partition, layers }) => async (signal: AbortSignal) => {
    const { number, filesystem } = partition
    context.log(`partition ${number} (${filesystem}): ${layers.length} layers`)
    const options = { run, disk, partition, layers, epoch, tmp, signal, checked: true, checkLater: true }
    return applyLayers(options)
  })
  const ranges = await beside(context.signal, edits)
  return image.edited(ranges.flat(), context.signal)
}

/** Fails with E_STAGE when a filesystem is not sound after the edit. */
export async function checkEdit(
  { run, tmp }: Context,
  { disk }: WorkingImage,
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<void> {
  const checks = changes.map(
    ({ partition }) =>
      () =>
        checkPartition({ run, disk, partition, tmp }, 'edited'),
  )
  await beside(signal, checks)
}
