/** The search over the files in which the image differs from its stock; its rows are made by the page's program. */
import type { PageData } from './data.ts'
import { html, type Markup } from './html.ts'

const columns: [name: string, column: number, style: string][] = [
  ['change', 1, 'kind'],
  ['file', 0, 'path'],
  ['layer', 2, 'layer'],
  ['size', 4, 'size number'],
  ['mode', 6, 'mode'],
  ['owner', 7, 'owner'],
  ['what', 8, 'note'],
]

export function fileSearch({ files, layers, more }: PageData): Markup {
  const kinds = ['added', 'changed', 'removed'] as const
  const count = (kind: string): string =>
    files.filter((file) => file[1] === kind).length.toLocaleString('en-US')
  const types = [...new Set(files.map((file) => file[3]))].sort()
  return html`<div class="filters">
<label class="grow">search (press /): part of a path, a mode such as 4755, an owner such as 0:0<input id="search" type="search" autocomplete="off" spellcheck="false" placeholder="etc systemd .service"></label>
<label>change<select id="kind"><option value="">all</option>${kinds.map((kind) => html`<option value="${kind}">${kind} (${count(kind)})</option>`)}</select></label>
<label>layer<select id="layer"><option value="">all</option>${layers.map(({ stage, partition }, index) => html`<option value="${index}">${stage}, part_${partition}</option>`)}</select></label>
<label>kind<select id="type"><option value="">all</option>${types.map((type) => html`<option>${type}</option>`)}</select></label>
</div>
<p class="faint" id="found" role="status" aria-live="polite"></p>
${more > 0 && html`<p class="remark">${more} further files are left out of this page.</p>`}
<noscript><p class="remark">The search needs JavaScript; the rest of the page does not.</p></noscript>
<div id="list" tabindex="0" role="region" aria-label="Files that differ from the stock image"><table><thead><tr>${columns.map(([name, column, style]) => html`<th scope="col" class="${style}"${column === 0 && html` aria-sort="ascending"`}><button type="button" data-column="${column}">${name}</button></th>`)}</tr></thead><tbody></tbody></table></div>`
}
