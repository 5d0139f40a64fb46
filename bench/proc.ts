/** What Linux says of processes that go on running. */
import { readdir, readFile } from 'node:fs/promises'

/** Bytes: the most memory that this process, or one that it started and that still runs, held at a time. */
export async function peakOf(pid: number): Promise<number | undefined> {
  const statuses = new Map<number, { parent: number; peak: number }>()
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    // It may end while we read.
    const status = await readFile(`/proc/${name}/status`, 'utf8').catch(() => '')
    const [parent, kib] = [/^PPid:\s+(\d+)$/m.exec(status), /^VmHWM:\s+(\d+) kB$/m.exec(status)]
    if (parent && kib) statuses.set(Number(name), { parent: Number(parent[1]), peak: Number(kib[1]) * 1024 })
  }
  const peaks: number[] = []
  for (const [one, { peak }] of statuses) if (descends(one)) peaks.push(peak)
  return peaks.length > 0 ? Math.max(...peaks) : undefined

  function descends(from: number): boolean {
    for (let at: number | undefined = from; at !== undefined; at = statuses.get(at)?.parent) {
      if (at === pid) return true
    }
    return false
  }
}
