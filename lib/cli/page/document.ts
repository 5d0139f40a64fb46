/** The whole page: one file that loads nothing. Its policy lets it run and look like what is in it, and nothing else. */
import { createHash } from 'node:crypto'
import { formatBytes, formatDuration } from '../format.ts'
import type { PageData } from './data.ts'
import { diskBar, diskTable, layerTable } from './disk-bar.ts'
import { fileSearch } from './file-search.ts'
import { graphSvg } from './graph-svg.ts'
import { dataJson, html, Markup } from './html.ts'
import { script } from './script.ts'
import { stagePanel } from './stage-panel.ts'
import { style } from './style.ts'
import { buildChart, summary, timeline } from './timeline.ts'
import { when } from './words.ts'

export function pageOf(data: PageData): string {
  const { target, about, stages, edges, builds, disk, layers, files, remarks, made, version } = data
  const policy = [
    "default-src 'none'",
    `style-src '${hashOf(style)}'`,
    `script-src '${hashOf(script)}'`,
    // The empty icon, without which a browser asks the server for one.
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  const searched = { files, layers: layers.map(({ stage }) => stage) }
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${target}: stages and files</title>
<link rel="icon" href="data:,">
<style>${new Markup(style)}</style>
</head>
<body>
<header><h1>${target}</h1>${about !== undefined && html`<p class="faint">${about}</p>`}
${facts(data)}</header>
<main>
<section class="card" aria-labelledby="stages"><h2 id="stages">Stages</h2>
<div class="wide">${graphSvg(stages, edges)}</div>
<p class="legend"><span><span class="dot ran"></span>ran in the last build</span><span><span class="dot hit"></span>known, from the store</span><span><span class="dot got"></span>from a binary cache</span><span><span class="dot bad"></span>failed</span><span><span class="dot none"></span>not reached</span><span>Choose a stage to see all that is known of it.</span></p>
${stages.map((stage) => stagePanel(stage, data))}</section>
<section class="card" aria-labelledby="builds"><h2 id="builds">Builds</h2>
${builds.length === 0 ? html`<p class="remark">This target was never built here. <code>fleetsie build ${target}</code> builds it.</p>` : html`${buildChart(builds)}${builds.map(timeline)}`}</section>
<section class="card" aria-labelledby="disk"><h2 id="disk">Disk</h2>
${remarks.map((remark) => html`<p class="remark">${remark}</p>`)}
${disk && html`${diskBar(disk)}${diskTable(disk)}`}
${layers.length > 0 && layerTable(layers)}</section>
${
  layers.length > 0 &&
  html`<section class="card" aria-labelledby="files"><h2 id="files">Files that differ from the stock image</h2>
${fileSearch(data)}</section>`
}
</main>
<footer>Made ${when(made)} by fleetsie ${version}. Times are UTC. This page loads nothing from anywhere.</footer>
<script type="application/json" id="data">${dataJson(searched)}</script>
<script>${new Markup(script)}</script>
</body>
</html>
`.text
}

function facts({ builds, disk, files, stages }: PageData): Markup {
  const [last] = builds
  const fact = (name: string, value: string): Markup => html`<div><dt>${name}</dt><dd>${value}</dd></div>`
  return html`<dl class="facts">
${last ? html`${fact('last build', when(last.at))}${fact('took', formatDuration(last.ms))}${fact('did', summary(last))}` : fact('last build', 'never')}
${fact('stages', String(stages.length))}
${disk && html`${fact('disk', formatBytes(disk.size))}${disk.compressed !== undefined && fact('as .img.xz', formatBytes(disk.compressed))}`}
${files.length > 0 && fact('files that differ', files.length.toLocaleString('en-US'))}
</dl>`
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
