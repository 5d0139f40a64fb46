/** Servers that are set up, in words. */
import type { BuildEvent } from '../../engine/events.ts'
import { formatDuration } from '../format.ts'

/** Of a new file that is long, its beginning tells what it is. --json has it all. */
const mostLines = 40

type Of<T extends BuildEvent['type']> = Extract<BuildEvent, { type: T }>

/** `root@server  would change  file /etc/motd: it is missing`, and the lines that differ below it. */
export function resourceLines({
  server,
  action,
  resource,
  because,
  lines = [],
  ms,
}: Of<'resource'>): string[] {
  const did = action === 'planned' ? 'would change' : `changed in ${formatDuration(ms ?? 0)}`
  const indent = ' '.repeat(13)
  // Of a file that was not there, what it holds is asked for by --plan.
  const shown = action === 'changed' && lines[0]?.startsWith('@@ -0,0 ') ? [] : lines
  return [
    `${server.padEnd(12)} ${did.padEnd(16)} ${resource}: ${because}`,
    ...shown.slice(0, mostLines).map((line) => `${indent}${line}`),
    ...(shown.length > mostLines
      ? [`${indent}… and ${shown.length - mostLines} more lines (--json has all)`]
      : []),
  ]
}

export function serverLine({ server, plan, resources, differ, ms }: Of<'server'>): string {
  const of = `of ${resources} resources`
  const did =
    differ === 0
      ? `no change: all ${resources} resources are as they should be`
      : plan
        ? `would change ${differ} ${of}`
        : `changed ${differ} ${of}`
  return `${server.padEnd(12)} ${did}, ${formatDuration(ms)}`
}
