/** The disks and partitions of this machine by their names in /dev, without those that hold no card. */
import { readdir } from 'node:fs/promises'

export async function disks(): Promise<string[]> {
  const names = await readdir('/sys/class/block').catch(() => [])
  return names.filter((name) => !/^(?:ram|zram|dm-|md|sr|fd)\d/.test(name)).sort()
}
