/** Reasons to skip a test on a machine that cannot run it. */
import { spawnSync } from 'node:child_process'

/** For `{ skip }`: false when every program is there. */
export function needs(...programs: string[]): string | false {
  const missing = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined)
  return missing.length > 0 && `needs ${missing.join(', ')}`
}

export const needsRoot: string | false = process.getuid?.() === 0 ? false : 'needs root'
