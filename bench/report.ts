/** The one table that comes out, as Markdown, so that it can be pasted. */
import type { Machine } from './machine.ts'
import { type Goal, type Measured, type Row, reached } from './row.ts'
import type { Spread } from './statistics.ts'

const headings = ['scenario', 'ours', 'peer', 'ratio', 'CPU ratio', 'our peak', 'runs', 'goal', 'reached']

export function table(rows: readonly Row[]): string {
  const lines = rows.map((row) =>
    'notRun' in row ? [row.name, 'n/a', '', '', '', '', '', '', row.notRun] : cells(row),
  )
  const all = [headings, ...lines].map((line) => line.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = headings.map((_, column) => Math.max(...all.map((line) => line[column]!.length)))
  const [head, ...body] = all.map(
    (line) => `| ${line.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`,
  )
  return [head, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body, ''].join('\n')
}

function cells(row: Measured): string[] {
  const met = reached(row)
  return [
    row.name,
    spreadText(row.ours.wall, ms),
    row.peer ? spreadText(row.peer.wall, ms) : '',
    row.ratio ? spreadText(row.ratio, times) : '',
    row.cpuRatio ? spreadText(row.cpuRatio, times) : '',
    row.ours.peak ? MB(row.ours.peak.max) : 'n/a',
    `${row.runs}`,
    row.goal ? goalText(row.goal) : '',
    met === undefined ? '' : met ? 'yes' : 'no',
  ]
}

function spreadText({ median, min, max }: Spread, unit: (value: number) => string): string {
  return min === max ? unit(median) : `${unit(median)} (${unit(min)} to ${unit(max)})`
}

function goalText({ of, atMost }: Goal): string {
  return `≤ ${{ ratio: times, wall: ms, peak: MB }[of](atMost)}`
}

const times = (value: number): string => `${value.toFixed(2)} ×`
const ms = (value: number): string =>
  value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`
/** Decimal, as a size on a package would say it. */
const MB = (value: number): string => `${Math.round(value / 1e6)} MB`

/** What the figures were taken with. */
export function preface(machine: Machine): string {
  const tools = Object.entries(machine.tools).map(([name, version]) => `${name} ${version}`)
  const load = `load at the start ${machine.load.toFixed(2)}`
  return [
    `${machine.processors} × ${machine.processor}, ${machine.memory} GiB, Linux ${machine.kernel}, ${load}`,
    `Node ${machine.node}, ${tools.join(', ')}`,
    `commit ${machine.commit}${machine.changed ? ' with changes' : ''}, ${machine.date}`,
    ...(machine.load > machine.processors / 2
      ? ['The machine is busy: ratios may still hold, milliseconds do not.']
      : []),
    '',
  ].join('\n')
}
