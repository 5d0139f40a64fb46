/** One stage in full: shown when it is chosen in the drawing. */
import { formatBytes, formatDuration } from '../format.ts'
import type { PageData, PageStage } from './data.ts'
import { html, type Markup } from './html.ts'
import { result, tone, when } from './words.ts'

/** Sources named in full; the rest is counted. */
const shownSources = 12

export function stagePanel(stage: PageStage, { edges }: PageData): Markup {
  const { name, last, ran, output } = stage
  const inputs = edges.filter(({ to }) => to === name).map(({ from, label }) => stageLink(from, label))
  const users = edges.filter(({ from }) => from === name).map(({ to }) => stageLink(to))
  return html`<section class="panel" id="stage-${name}" data-panel="${name}" tabindex="-1" aria-label="Stage ${name}">
<h3><span class="dot ${tone(last?.action)}"></span>${name} <small>${result(last)}</small></h3>
<p>${stage.summary}</p>
<dl>
${last && row('because', last.because)}
${last && row('in the build of', when(last.at))}
${ran && ran.at !== last?.at && row('last run', `${ran.action} in ${formatDuration(ran.ms)}, ${when(ran.at)}: ${ran.because}`)}
${output && row('output', `${output.digest.slice(0, 16)}…${output.bytes === undefined ? '' : `, ${formatBytes(output.bytes)}`}${output.gone ? `, ${output.gone}` : ''}`)}
${inputs.length > 0 && html`<dt>inputs</dt><dd>${inputs}</dd>`}
${users.length > 0 && html`<dt>used by</dt><dd>${users}</dd>`}
${stage.options.map(([option, value]) => row(`option ${option}`, value))}
${stage.sources.length > 0 && row('reads', named(stage.sources))}
${stage.files && stage.files.length > 0 && row('leaves', named(stage.files.map(({ path }) => path)))}
${stage.tools.length > 0 && row('programs', stage.tools.map((tool) => tool.join(' ')).join(', '))}
</dl></section>
`
}

function named(names: readonly string[]): string {
  const more = names.length - shownSources
  return names.slice(0, shownSources).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

function row(name: string, value: string): Markup {
  return html`<dt>${name}</dt><dd>${value}</dd>`
}

function stageLink(name: string, label?: string): Markup {
  return html`<a href="#stage-${name}" data-stage="${name}">${name}</a>${label !== undefined && html` <small>(${label})</small>`} `
}
