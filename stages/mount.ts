/** mount: which partitions an image has, and what is on them. Nothing is attached: that is what the verb `mount` does. */
import { join } from 'node:path'
import * as v from 'valibot'
import { input, stage } from '../lib/engine/stage.ts'
import { FleetsieError } from '../lib/errors.ts'

export const mount = stage({
  kind: 'build',
  name: 'mount',
  module: import.meta.url,
  summary: 'reads the partition table of an image',
  description: `From an image to \`table.json\`: the kind of its table (MBR with logical partitions, or GPT), the disk's id, and
for each partition its number, offset and size in bytes, type, boot flag, PARTUUID, filesystem, label and UUID, all
spelled as \`blkid\` spells them.

The image is only read, as bytes: no loop device, no root, no program. Filesystems that are recognised: ext2, ext3, ext4,
FAT12/16/32, xfs, btrfs, f2fs, ntfs, squashfs, swap and LUKS; a partition with none of them, or with the marks of two,
has the filesystem \`null\`. Where the first GPT header is damaged the backup is used, with a warning. Sectors are of 512
bytes.

An image without a partition table, with partitions that overlap or run past its end, or with a damaged table is refused
with the byte where it is wrong.`,
  example: `const table = mount({ image: decompress({ from: stock }) })`,
  options: v.strictObject({
    image: v.pipe(input(), v.description('the image, from `decompress`')),
  }),
  pool: 'io',
  async run(context) {
    const { diskName } = await import('../lib/images/image.ts')
    const { readPartitionTable, writeTable } = await import('../lib/images/partitions.ts')
    const disk = join(context.options.image.path, diskName)
    const table = await readPartitionTable(disk, (line) => context.warn(line)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      throw new FleetsieError('E_INPUT', 'here an image is needed, and this is none', {
        file: context.options.image.path,
        hint: 'give `image` the result of `decompress`',
        cause: error,
      })
    })
    await writeTable(context.out, table)
  },
})
