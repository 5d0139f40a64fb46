/** The chart of a table: for each scenario a bar of ours and one of each peer, on a logarithmic scale of time. */
import type { Machine } from './machine.ts'
import type { Measured, Row } from './row.ts'

export interface Results {
  taken: string
  machine: Machine
  /** Bytes of the stock image, raw and as .img.xz; absent where no scenario needed one. */
  image?: { raw: number; compressed: number }
  rows: Row[]
}

/** Scenarios in the chart, from the top, and what they are called there. */
const shown: readonly [name: string, title: string][] = [
  ['edit, in watch mode', 'One file edited, in watch mode'],
  ['edit, by the bin', 'One file edited'],
  ['script changed', 'A script changed that runs in the image'],
  ['cold', 'Everything, from an empty cache'],
  ['nothing to do, bin', 'Nothing to do'],
]

interface Bar {
  label: string
  /** Milliseconds. */
  wall: number
  ours: boolean
  /** How often ours fits into it. */
  times?: number
}

interface Group {
  title: string
  bars: Bar[]
}

const width = 880
const margin = 24
/** Where bars begin, and where the longest one ends: the figures beside it need room. */
const axis = { from: 136, to: 756 }
const barHeight = 16
const rowHeight = 21
const titleHeight = 26
const groupGap = 12
const top = 84

/** An SVG that has its own light and dark colours. @throws when no scenario that is shown was measured */
export function chart({ taken, machine, image, rows }: Results): string {
  const groups = shown.flatMap(([name, title]) => groupOf(name, title, rows))
  if (groups.length === 0 || image === undefined)
    throw new Error('no scenario of the chart was measured: run cold, edit or nothing-to-do')
  const walls = groups.flatMap(({ bars }) => bars.map(({ wall }) => wall))
  // The shortest bar is a bar as well.
  const first = Math.floor(Math.log10(0.8 * Math.min(...walls)))
  const last = Math.log10(Math.max(...walls, 10 ** (first + 1)))
  const x = (ms: number): number =>
    axis.from + ((Math.log10(ms) - first) / (last - first)) * (axis.to - axis.from)

  const body: string[] = []
  let y = top
  for (const { title, bars } of groups) {
    body.push(text(margin, y + 16, title, 'group'))
    y += titleHeight
    for (const bar of bars) {
      const end = Math.max(x(bar.wall), axis.from + 2)
      const kind = bar.ours ? 'ours' : 'peer'
      body.push(text(axis.from - 10, y + 12.5, bar.label, `label ${kind}-label`, 'end'))
      body.push(
        `<rect class="${kind}" x="${axis.from}" y="${y}" width="${fixed(end - axis.from)}" height="${barHeight}" rx="2"/>`,
      )
      body.push(text(fixed(end + 8), y + 12.5, figure(bar), 'figure'))
      y += rowHeight
    }
    y += groupGap
  }
  const bottom = y
  const grid: string[] = []
  for (let power = first; power <= last; power++) {
    const at = fixed(x(10 ** power))
    grid.push(`<line class="grid" x1="${at}" y1="${top - 10}" x2="${at}" y2="${bottom}"/>`)
    grid.push(text(at, bottom + 18, duration(10 ** power), 'tick', 'middle'))
  }
  const height = bottom + 52
  const of = `A disk image of ${size(image.raw)}, ${size(image.compressed)} as .img.xz. `
  const about = `${machine.processors} × ${machine.processor}, Node ${machine.node}, commit ${machine.commit}, ${taken.slice(0, 10)}`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title about">`,
    '<title id="title">From a change to the signed .img.xz</title>',
    `<desc id="about">${escaped(groups.map(inWords).join(' '))}</desc>`,
    style,
    `<rect class="page" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>`,
    text(margin, 36, 'From a change to the signed .img.xz', 'title'),
    text(
      margin,
      57,
      `${of}Wall clock: each line to the right is ten times as long. Shorter is better.`,
      'about',
    ),
    ...grid,
    ...body,
    text(margin, bottom + 39, about, 'about'),
    '</svg>',
    '',
  ].join('\n')
}

function groupOf(name: string, title: string, rows: readonly Row[]): Group[] {
  const measured = rows.filter((row): row is Measured => row.name === name && !('notRun' in row))
  const [first] = measured
  if (first === undefined) return []
  const peers = measured.flatMap(({ beside = '', peer, ratio }): Bar[] =>
    peer && ratio ? [{ label: beside, wall: peer.wall.median, ours: false, times: 1 / ratio.median }] : [],
  )
  const ours: Bar = { label: 'fleetsie', wall: first.ours.wall.median, ours: true }
  return [{ title, bars: [ours, ...peers.sort((a, b) => a.wall - b.wall)] }]
}

function figure({ wall, times }: Bar): string {
  if (times === undefined || times < 1.05) return duration(wall)
  return `${duration(wall)}, ${times < 10 ? times.toFixed(1) : Math.round(times)} ×`
}

function inWords({ title, bars }: Group): string {
  return `${title}: ${bars.map((bar) => `${bar.label} ${figure(bar)}`).join('; ')}.`
}

function duration(ms: number): string {
  if (ms < 995) return `${ms < 10 ? ms.toFixed(1).replace(/\.0$/, '') : Math.round(ms)} ms`
  return `${ms < 9950 ? (ms / 1000).toFixed(1).replace(/\.0$/, '') : Math.round(ms / 1000)} s`
}

function size(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`
}

function text(x: number, y: number, content: string, kind: string, anchor = 'start'): string {
  const end = anchor === 'start' ? '' : ` text-anchor="${anchor}"`
  return `<text class="${kind}" x="${x}" y="${y}"${end}>${escaped(content)}</text>`
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

const fixed = (value: number): number => Math.round(value * 10) / 10

/** Contrast of all text is above 4.5 : 1 in both. */
const style = `<style>
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif; fill: #1f2328; }
  .page { fill: #ffffff; stroke: #d1d9e0; }
  .title { font-size: 19px; font-weight: 600; }
  .group { font-weight: 600; }
  .ours-label { font-weight: 600; }
  .about, .tick { font-size: 12px; fill: #59636e; }
  .ours { fill: #0969da; }
  .peer { fill: #9aa4af; }
  .grid { stroke: #e4e8ec; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .page { fill: #0d1117; stroke: #30363d; }
    .about, .tick { fill: #9198a1; }
    .ours { fill: #4493f8; }
    .peer { fill: #6e7681; }
    .grid { stroke: #232a33; }
  }
</style>`
