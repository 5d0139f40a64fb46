/** What Linux says of a process that goes on running. */
import { readFile } from 'node:fs/promises'

/** Bytes: the most memory that this process held at a time, without its children. Undefined when it has ended. */
export async function peakOf(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]
  return kib === undefined ? undefined : Number(kib) * 1024
}
