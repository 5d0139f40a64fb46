/** Turns what the disk says no to into an error with a remedy. */
import { FleetsieError } from '../../errors.ts'
import type { Layout } from './layout.ts'
import { isDiskFull } from './space.ts'
import { notWritable } from './sqlite.ts'

export async function writing<T>(layout: Layout, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException
    const file = typeof path === 'string' ? path : layout.folder
    if (error instanceof FleetsieError) throw error
    if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') throw notWritable(file, error)
    if (isDiskFull(error)) {
      throw new FleetsieError('E_IO', "the store's disk is full", {
        file,
        hint: 'free some space, for example with `fleetsie gc`, or set FLEETSIE_STORE to a larger disk',
        cause: error,
      })
    }
    throw error
  }
}
