/** Waits until what programs wrote to a file or device is on the medium. */
import { open } from 'node:fs/promises'

export async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
