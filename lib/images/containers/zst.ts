/** Decodes .zst by the `zstd` program: node has it only from version 22.15 on. */
import { FleetsieError } from '../../errors.ts'
import { type Decoding, damagedContainer, pour } from './decoding.ts'

/** The largest window that zstd takes without being asked to: no process needs more than 300 MB. */
const memoryLimit = '128MB'

/** Answers the image's size. */
export async function decodeZst(decoding: Decoding): Promise<number> {
  let size = 0
  try {
    await decoding.run('zstd', ['-d', '-c', '-q', `--memory=${memoryLimit}`, '--', decoding.file], {
      output: async (stdout) => {
        size = await pour(stdout, decoding)
      },
    })
  } catch (error) {
    if (!(error instanceof FleetsieError) || error.code !== 'E_STAGE') throw error
    // Each of its lines begins with the file's path.
    const said = error.message.split(decoding.file).slice(2).join(' ')
    if (said.includes('Frame requires too much memory')) {
      throw new FleetsieError('E_UNSUPPORTED', `to decode it takes more than ${memoryLimit}`, {
        hint: 'compress the image anew with `zstd -19`',
        cause: error,
      })
    }
    const reason = said.replace(/^ ?: /, '').trim() || 'zstd cannot decode it'
    throw damagedContainer(`${reason} (after byte ${size} of the decoded image)`, error)
  }
  return size
}
