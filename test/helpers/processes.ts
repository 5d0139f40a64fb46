/** Looking at processes of this machine. */
import { readFileSync } from 'node:fs'

/** False as well for one that is dead and not yet buried by its parent. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** What was killed takes a moment to die. */
export async function dead(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setImmediate(resolve))
}
