/** What a build with --json printed: what it made, and where its time went. */
import { statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import type { Artifact, BuildEvent } from '../lib/engine/events.ts'
import type { Sample, Subject } from './measure.ts'

export function eventsOf(stdout: string): BuildEvent[] {
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'))
  return lines.map((line) => JSON.parse(line) as BuildEvent)
}

export interface Image {
  path: string
  sha256: string
  size: number
}

/** The .img.xz among the artifacts of the build's last target. */
export function imageOf(subject: Subject, sample: Sample): Image {
  return imageAmong(subject.cwd, eventsOf(sample.stdout).flatMap(artifactsIn))
}

function imageAmong(folder: string, artifacts: readonly Artifact[]): Image {
  const image = artifacts.findLast(({ path }) => path.endsWith('.img.xz'))
  if (image === undefined) throw new Error('the build named no .img.xz among its artifacts')
  const path = isAbsolute(image.path) ? image.path : join(folder, image.path)
  return { path, sha256: image.sha256, size: statSync(path).size }
}

function artifactsIn(event: BuildEvent): Artifact[] {
  return event.type === 'artifacts' || event.type === 'ready' ? event.artifacts : []
}

/** The stages that ran, longest first, and what is left for starting, keys and store. */
export function spentBy({ wall }: Sample, events: readonly BuildEvent[]): string {
  const ran = events
    .filter((event) => event.type === 'stage')
    .filter(({ action }) => action === 'built' || action === 'applied')
    .sort((a, b) => b.ms - a.ms)
  const left = Math.max(0, wall - ran.reduce((sum, { ms }) => sum + ms, 0))
  return [...ran.map(({ stage, ms }) => `${stage} ${ms}`), `the rest ${Math.round(left)} ms`].join(', ')
}
