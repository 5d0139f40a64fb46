/** Looking at processes of this machine. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** False as well for one that is dead and not yet buried by its parent. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** What was killed takes a moment to die; fails when it lives on for a minute. */
export async function dead(pid: number): Promise<void> {
  for (const end = Date.now() + 60_000; isAlive(pid); ) {
    assert.ok(Date.now() < end, `process ${pid} lives on`)
    await sleep(5)
  }
}
