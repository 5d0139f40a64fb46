/** The stages of a target as a drawing, each a link to what is known of it. */
import { Graph, layout } from '@dagrejs/dagre'
import { formatBytes } from '../format.ts'
import type { PageEdge, PageStage } from './data.ts'
import { html, Markup } from './html.ts'
import { result, tone } from './words.ts'

const box = { width: 168, height: 70 }
/** Pixels of a letter of an edge's label, on average. */
const letter = 6.2

interface Point {
  x: number
  y: number
}

export function graphSvg(stages: readonly PageStage[], edges: readonly PageEdge[]): Markup {
  const graph = new Graph({ multigraph: true })
  graph.setGraph({ rankdir: 'LR', nodesep: 22, edgesep: 14, ranksep: 26, marginx: 8, marginy: 8 })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const { name } of stages) graph.setNode(name, { ...box })
  for (const [index, { from, to, label }] of edges.entries()) {
    graph.setEdge(from, to, { width: label.length * letter + 8, height: 14, labelpos: 'c' }, `${index}`)
  }
  layout(graph)
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number }
  const lines = edges.map((edge, index) => {
    const placed = graph.edge(edge.from, edge.to, `${index}`) as Point & { points: Point[] }
    return edgeSvg(edge, placed.points, placed)
  })
  const boxes = stages.map((stage) => boxSvg(stage, graph.node(stage.name) as Point))
  return html`<svg class="graph" role="group" aria-label="Stages, from the first inputs on the left to the result on the right"
 width="${Math.ceil(width)}" height="${Math.ceil(height)}" viewBox="0 0 ${Math.ceil(width)} ${Math.ceil(height)}">
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.5 8 4 0 7.5z"/></marker></defs>
${lines}${boxes}</svg>`
}

function edgeSvg({ from, to, label }: PageEdge, points: readonly Point[], at: Point): Markup {
  return html`<g class="edge" data-from="${from}" data-to="${to}"><title>${from} is \`${label}\` of ${to}</title><path d="${new Markup(curve(points))}" marker-end="url(#tip)"/><text x="${round(at.x)}" y="${round(at.y + 4)}" text-anchor="middle">${label}</text></g>
`
}

/** Through dagre's points with rounded corners. */
function curve(points: readonly Point[]): string {
  const [first, ...rest] = points
  const last = rest.pop()
  if (!first || !last) return ''
  let path = `M${round(first.x)} ${round(first.y)}`
  let before = first
  rest.forEach((point, index) => {
    const next = rest[index + 1] ?? last
    const middle = { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 }
    path += ` Q${round(point.x)} ${round(point.y)} ${round(middle.x)} ${round(middle.y)}`
    before = middle
  })
  return before.x === last.x && before.y === last.y ? path : `${path} L${round(last.x)} ${round(last.y)}`
}

const round = (value: number): number => Math.round(value * 10) / 10

function boxSvg(stage: PageStage, { x, y }: Point): Markup {
  const { name, summary, last, output } = stage
  const reached = last === undefined || last.current ? result(last) : 'not reached'
  const left = round(x - box.width / 2)
  const top = round(y - box.height / 2)
  const title = `${name}: ${result(last)}${last ? `, because ${last.because}` : ''}\n${summary}`
  const size = output?.gone
    ? 'output evicted'
    : output?.bytes === undefined
      ? stage.kind === 'deploy'
        ? `deploys ${stage.files?.length ?? 0} files`
        : ''
      : formatBytes(output.bytes)
  return html`<a class="stage ${last?.current === false ? 'none' : tone(last?.action)}" href="#stage-${name}" data-stage="${name}" aria-label="${title}"><title>${title}</title>
<rect x="${left}" y="${top}" width="${box.width}" height="${box.height}" rx="${stage.kind === 'deploy' ? 22 : 7}"/><rect class="mark" x="${left + 12}" y="${top + 14}" width="10" height="10" rx="5"/>
<text class="name" x="${left + 30}" y="${top + 24}">${clip(name, 20)}</text><text x="${left + 30}" y="${top + 42}">${reached}</text><text class="faint" x="${left + 30}" y="${top + 58}">${size}</text></a>
`
}

function clip(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text
}
