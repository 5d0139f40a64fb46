/** The one table that comes out, as Markdown, so that it can be pasted. */
import type { Machine } from './machine.ts'
import { type Figures, type Goal, type Measured, type Row, reached } from './row.ts'
import type { Spread } from './statistics.ts'

const headings = [
  'scenario',
  'beside',
  'ours',
  'peer',
  'ratio',
  'CPU ratio',
  'our peak',
  'written',
  'same bytes',
  'runs',
  'goal',
  'reached',
  'note',
]

export function table(rows: readonly Row[]): string {
  const lines = rows.map((row) =>
    'notRun' in row
      ? [row.name, row.beside ?? '', 'n/a', '', '', '', '', '', '', '', '', '', row.notRun]
      : cells(row),
  )
  const all = [headings, ...lines].map((line) => line.map((cell) => cell.replaceAll('|', '\\|')))
  // The last column is prose: padding would make every line as long as the longest.
  const widths = headings.map((_, column) =>
    column === headings.length - 1 ? 4 : Math.max(...all.map((line) => line[column]!.length)),
  )
  const [head, ...body] = all.map(
    (line) => `| ${line.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`,
  )
  return [head, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body, ''].join('\n')
}

function cells(row: Measured): string[] {
  const { ours, peer } = row
  const met = reached(row)
  const sizes = row.goal?.of === 'size'
  return [
    row.name,
    row.beside ?? '',
    sizes ? MB(ours.output!.size) : spreadText(ours.wall, ms),
    peer ? (sizes ? MB(peer.output!.size) : spreadText(peer.wall, ms)) : '',
    sizes ? times(ours.output!.size / peer!.output!.size) : row.ratio ? spreadText(row.ratio, times) : '',
    row.cpuRatio ? spreadText(row.cpuRatio, times) : '',
    ours.peak ? MB(ours.peak.max) : 'n/a',
    bothSides(row, ({ written }) => (written ? MB(written.median) : undefined)),
    bothSides(row, ({ output }) => (output?.same === undefined ? undefined : output.same ? 'yes' : 'no')),
    peer && peer.runs !== ours.runs ? `${ours.runs} / ${peer.runs}` : `${ours.runs}`,
    row.goal ? goalText(row.goal) : '',
    met === undefined ? '' : met ? 'yes' : 'no',
    [row.about, met === false ? row.spent : undefined].filter((text) => text !== undefined).join('; '),
  ]
}

/** `ours / peer`, as far as there is anything to say. */
function bothSides({ ours, peer }: Measured, text: (side: Figures) => string | undefined): string {
  const both = [text(ours), peer && text(peer)]
  return both.every((side) => side === undefined) ? '' : both.map((side) => side ?? '–').join(' / ')
}

function spreadText({ median, min, max }: Spread, unit: (value: number) => string): string {
  return min === max ? unit(median) : `${unit(median)} (${unit(min)} to ${unit(max)})`
}

function goalText({ of, atMost }: Goal): string {
  return `≤ ${{ ratio: times, wall: ms, peak: MB, size: times }[of](atMost)}`
}

/** A ratio below 1/10 says more the other way round: how often ours fits into theirs. */
const times = (value: number): string =>
  value < 0.1 ? `1/${(1 / value).toFixed(value < 0.01 ? 0 : 1).replace(/\.0$/, '')}` : `${value.toFixed(2)} ×`
const ms = (value: number): string =>
  value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`
/** Decimal, as a size on a package would say it. */
const MB = (value: number): string => `${(value / 1e6).toFixed(value < 10e6 ? 1 : 0)} MB`

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
