/** The disk of the artifact: its partitions side by side, and how much of each is used. */
import { formatBytes } from '../format.ts'
import type { PageDisk, PageLayer, PagePartition } from './data.ts'
import { html, type Markup, percent } from './html.ts'

/** Per cent that the smallest partition gets before all are brought to a whole: its name fits on a phone. */
const least = 24

export function diskBar(disk: PageDisk): Markup {
  const partitions = [...disk.partitions].sort((a, b) => a.offset - b.offset)
  const widths = widthsOf(partitions.map(({ size }) => size))
  let x = 0
  const boxes = partitions.map((partition, index) => {
    const box = boxOf(partition, x, widths[index]!, index)
    x += widths[index]!
    return box
  })
  const scale = partitions.map(
    (partition, index) =>
      html`<rect class="p${index % 4}" x="${percent(partition.offset, disk.size)}" y="0" width="${percent(partition.size, disk.size)}" height="8"><title>${nameOf(partition)}: ${formatBytes(partition.size)} at ${formatBytes(partition.offset)}</title></rect>`,
  )
  return html`<figure class="disk"><figcaption>${disk.table} disk of ${formatBytes(disk.size)}. The thin strip is to scale; below it a small partition is widened until its name fits. Filled: used.</figcaption>
<svg class="scale" width="100%" height="8" role="img" aria-label="Partitions to scale"><rect class="free" x="0" y="0" width="100%" height="8"/>${scale}</svg>
<svg width="100%" height="92" role="img" aria-label="Partitions of the disk">${boxes}</svg></figure>`
}

/** Per cent for each: its share, the small ones widened and all brought back to a whole. */
function widthsOf(sizes: readonly number[]): number[] {
  const whole = sizes.reduce((sum, size) => sum + size, 0) || 1
  const widths = sizes.map((size) => Math.max((size / whole) * 100, least))
  const sum = widths.reduce((all, width) => all + width, 0)
  return widths.map((width) => (width / sum) * 100)
}

const nameOf = ({ number }: PagePartition): string => `part_${number}`

function boxOf(partition: PagePartition, x: number, width: number, index: number): Markup {
  const { size, used, filesystem, label } = partition
  const about = [filesystem ?? 'no known filesystem', label].filter(Boolean).join(' ')
  const use = used === undefined ? formatBytes(size) : `${formatBytes(used)} of ${formatBytes(size)}`
  const title = `${nameOf(partition)}: ${about}, ${use}${used === undefined ? '' : ` used, ${formatBytes(size - used)} free`}`
  return html`<svg x="${x}%" y="0" width="${width}%" height="92"><title>${title}</title><rect class="free" x="0" y="10" width="99.6%" height="82" rx="4"/>${used !== undefined && html`<rect class="p${index % 4} soft" x="0" y="10" width="${percent(used * 0.996, size)}" height="82" rx="4"/>`}<rect class="p${index % 4}" x="0" y="10" width="99.6%" height="5"/><text class="name" x="10" y="38">${nameOf(partition)}</text><text x="10" y="57">${about}</text><text x="10" y="76">${use}</text></svg>
`
}

export function diskTable({ partitions }: PageDisk): Markup {
  const rows = partitions.map((partition) => {
    const { size, used, filesystem, label, offset } = partition
    const share = used === undefined || size === 0 ? '' : `${Math.round((used / size) * 100)} %`
    const bytes = (value: number | undefined): string =>
      value === undefined ? 'not known' : formatBytes(value)
    return html`<tr><th scope="row">${nameOf(partition)}</th><td>${filesystem ?? ''}</td><td>${label ?? ''}</td><td class="number">${formatBytes(offset)}</td><td class="number">${formatBytes(size)}</td><td class="number">${bytes(used)}</td><td class="number">${used === undefined ? 'not known' : formatBytes(size - used)}</td><td class="number">${share}</td></tr>`
  })
  return html`<div class="wide"><table><caption>Partitions</caption><thead><tr><th scope="col">partition</th><th scope="col">filesystem</th><th scope="col">label</th><th scope="col" class="number">starts at</th><th scope="col" class="number">size</th><th scope="col" class="number">used</th><th scope="col" class="number">free</th><th scope="col" class="number">full</th></tr></thead><tbody>${rows}</tbody></table></div>`
}

export function layerTable(layers: readonly PageLayer[]): Markup {
  const rows = layers.map(({ stage, partition, effect }, index) => {
    const { added, changed, removed, bytesIn, bytesOut } = effect
    return html`<tr><th scope="row"><a href="#files" data-layer="${index}">${stage}</a></th><td>part_${partition}</td><td class="number">${number(added)}</td><td class="number">${number(changed)}</td><td class="number">${number(removed)}</td><td class="number">+${formatBytes(bytesIn)}</td><td class="number">−${formatBytes(bytesOut)}</td></tr>`
  })
  return html`<div class="wide"><table><caption>What each layer changes, in the order in which they apply</caption><thead><tr><th scope="col">layer</th><th scope="col">partition</th><th scope="col" class="number">added</th><th scope="col" class="number">changed</th><th scope="col" class="number">removed</th><th scope="col" class="number">brings</th><th scope="col" class="number">takes away</th></tr></thead><tbody>${rows}</tbody></table></div>`
}

const number = (value: number): string => value.toLocaleString('en-US')
