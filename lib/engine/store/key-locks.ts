/** One lock for each key or other name, across processes: two builds of one key wait for each other. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FleetsieError } from '../../errors.ts'
import { tryFileLock } from './file-lock.ts'
import type { Parts } from './parts.ts'
import type { KeyLock } from './types.ts'

const firstPollMs = 10
const longestPollMs = 250

export async function lockKey(
  parts: Parts,
  key: string,
  onWait: (holder: string) => void,
  signal: AbortSignal | undefined,
  stage: string | undefined,
): Promise<KeyLock> {
  const file = join(parts.layout.locks, `${key}.db`)
  let told: string | undefined
  for (let pause = firstPollMs; ; pause = Math.min(pause * 2, longestPollMs)) {
    if (signal?.aborted) throw interrupted()
    const lock = tryFileLock(parts.sqlite, parts.layout, file)
    if (lock) return hold(parts, key, stage, lock.release)
    const holder = holderOf(parts, key)
    if (holder && holder.who !== told) {
      told = holder.who
      onWait(holder.text)
    }
    await sleep(pause, undefined, signal ? { signal } : {}).catch(() => {})
  }
}

// The row only tells others whom they wait for; the file is the lock.
function hold(parts: Parts, key: string, stage: string | undefined, release: () => void): KeyLock {
  const { sql, presence } = parts
  try {
    presence.ensure()
    sql.run(
      'INSERT OR REPLACE INTO holders (key, process, pid, stage, since) VALUES (?, ?, ?, ?, ?)',
      key,
      presence.id,
      process.pid,
      stage ?? null,
      Date.now(),
    )
  } catch (error) {
    release()
    throw error
  }
  let done = false
  return {
    release: () => {
      if (done) return
      done = true
      try {
        sql.run('DELETE FROM holders WHERE key = ?', key)
      } finally {
        release()
      }
    },
  }
}

function holderOf({ sql }: Parts, key: string): { who: string; text: string } | undefined {
  const row = sql.get<{ process: string; pid: number; stage: string | null; since: number }>(
    'SELECT process, pid, stage, since FROM holders WHERE key = ?',
    key,
  )
  if (!row) return undefined
  const seconds = Math.max(0, Math.round((Date.now() - row.since) / 1000))
  const what = row.stage === null ? '' : ` builds ${row.stage}`
  return { who: `${row.process} ${row.since}`, text: `process ${row.pid}${what} since ${seconds} s` }
}

function interrupted(): FleetsieError {
  return new FleetsieError('E_INTERRUPTED', 'interrupted while waiting for another build')
}
