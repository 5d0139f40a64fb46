/** What a build with --json printed. */
import type { BuildEvent } from '../lib/engine/events.ts'

export function eventsOf(stdout: string): BuildEvent[] {
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'))
  return lines.map((line) => JSON.parse(line) as BuildEvent)
}
