/** What an encoder left behind: an .xz of one block for each piece that it was given. */
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { CheckId } from '../../formats/xz/check.ts'
import { readFileIndex } from '../../formats/xz/file-index.ts'
import { readerOf } from '../reads.ts'
import { sizedBlock } from '../sized-block.ts'

/**
 * Lets `encode` write an .xz into the file of a descriptor, and gives its blocks, with both sizes in their headers.
 * `name` is that of no other file in `folder`; `lengths` are what the blocks are to decode to.
 */
export async function writtenBlocks(
  { folder, name, lengths, check }: { folder: string; name: string; lengths: number[]; check: CheckId },
  encode: (outputFd: number) => Promise<void>,
): Promise<Buffer[]> {
  const path = join(folder, name)
  const file = await open(path, 'wx+')
  try {
    await encode(file.fd)
    const read = readerOf(file)
    const { blocks } = await readFileIndex(read, (await file.stat()).size)
    if (blocks.length !== lengths.length || blocks.some((block, i) => block.uncompressed !== lengths[i])) {
      throw new FleetsieError('E_BUG', `an encoder made ${blocks.length} blocks of ${lengths.length} pieces`)
    }
    const made: Buffer[] = []
    for (const block of blocks) {
      const { header, rest } = await sizedBlock(read, block, check)
      made.push(Buffer.concat([header, await read(rest.offset, rest.length)]))
    }
    return made
  } finally {
    await file.close()
    await rm(path)
  }
}
