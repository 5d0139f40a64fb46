/** The last builds: how long each took in all, and when each of its stages ran. */
import type { RecordedBuild, RecordedStage } from '../../engine/store/types.ts'
import { formatDuration } from '../format.ts'
import { html, type Markup, percent } from './html.ts'
import { count, result, tone, when } from './words.ts'

const chartHeight = 88

const isHit = ({ action }: RecordedStage): boolean => tone(action) === 'hit'

/** A bar for each build, the latest on the right. */
export function buildChart(builds: readonly RecordedBuild[]): Markup {
  const longest = Math.max(...builds.map(({ ms }) => ms), 1)
  const slot = 100 / Math.max(builds.length, 12)
  const bars = [...builds.entries()].reverse().map(([index, build], place) => {
    const failed = build.stages.some(({ action }) => action === 'failed')
    const height = Math.max(3, (build.ms / longest) * chartHeight)
    const title = `${when(build.at)}: ${formatDuration(build.ms)}, ${summary(build)}`
    return html`<a class="bar ${failed ? 'bad' : build.stages.every(isHit) ? 'hit' : 'ran'}" href="#build-${index}" data-build="${index}" aria-label="${title}"><title>${title}</title><rect class="hot" x="${place * slot}%" y="0" width="${slot}%" height="${chartHeight}"/><rect x="${place * slot + slot * 0.14}%" y="${Math.round(chartHeight - height)}" width="${slot * 0.72}%" height="${Math.round(height)}" rx="2"/></a>`
  })
  return html`<figure class="chart"><figcaption>Time of ${builds.length === 1 ? 'the last build' : `the last ${builds.length} builds`}; the longest took ${formatDuration(longest)}. Choose one to see its stages.</figcaption><svg role="group" aria-label="Total time of each build, oldest first" width="100%" height="${chartHeight}">${bars}</svg></figure>`
}

/** `3 of 7 stages ran`. */
export function summary({ stages }: RecordedBuild): string {
  const ran = stages.filter((stage) => !isHit(stage)).length
  const failed = stages.filter(({ action }) => action === 'failed').length
  if (failed > 0) return `${count(failed, 'stage')} failed`
  return ran === 0 ? 'nothing to do' : `${ran} of ${count(stages.length, 'stage')} ran`
}

/** One row a stage, with a bar from its start to its end. */
export function timeline(build: RecordedBuild, index: number): Markup {
  const whole = Math.max(build.ms, ...build.stages.map(({ start, ms }) => start + ms), 1)
  const rows = [...build.stages]
    .sort((a, b) => a.start - b.start || a.ms - b.ms)
    .map((stage) => row(stage, whole))
  return html`<section class="build${index === 0 ? ' first' : ''}" id="build-${index}" data-build-panel="${index}" tabindex="-1" aria-label="Build of ${when(build.at)}">
<h3>${when(build.at)} <small>${formatDuration(build.ms)}, ${summary(build)}</small></h3>
<div class="wide"><table class="timeline"><thead><tr><th scope="col">stage</th><th scope="col">when it ran: 0 to ${formatDuration(whole)}</th><th scope="col">result</th><th scope="col" class="why">because</th></tr></thead><tbody>
${rows}</tbody></table></div></section>
`
}

function row(stage: RecordedStage, whole: number): Markup {
  const { start, ms } = stage
  const title = `${stage.stage}: from ${formatDuration(start)} to ${formatDuration(start + ms)}`
  const bar = isHit(stage)
    ? html`<rect class="hit" x="${percent(start, whole)}" y="6" width="4" height="8" rx="2"><title>${title}</title></rect>`
    : html`<rect class="${tone(stage.action)}" x="${percent(start, whole)}" y="3" width="${percent(Math.max(ms, whole / 250), whole)}" height="14" rx="3"><title>${title}</title></rect>`
  return html`<tr><th scope="row"><a href="#stage-${stage.stage}" data-stage="${stage.stage}">${stage.stage}</a></th><td class="lane"><svg width="100%" height="20" role="img" aria-label="${title}">${bar}</svg></td><td class="nowrap">${result(stage)}</td><td class="why">${stage.because}</td></tr>
`
}
