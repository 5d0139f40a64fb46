/** `explain`: what a stage depends on, and what changed in that since an earlier run. */
import { Build } from '../../engine/build.ts'
import { describe, type InputNames } from '../../engine/explain.ts'
import { diffManifests, type Manifest } from '../../engine/manifest.ts'
import { inputNames, nodesOf } from '../../engine/nodes.ts'
import { type Prediction, predictions } from '../../engine/predict.ts'
import type { RecordedRun } from '../../engine/store/types.ts'
import { FleetsieError } from '../../errors.ts'
import type { Session } from '../session.ts'
import { sourceDateEpoch } from '../source-date-epoch.ts'
import { chooseTargets } from '../targets.ts'

interface ExplainOptions {
  json?: boolean
  target?: string
  against: string
  all?: boolean
}

export async function explain(session: Session, stage: string, options: ExplainOptions): Promise<void> {
  await session.show({ json: options.json })
  const { targets, cwd } = session.requireProject()
  const { name, root } = chooseTargets(targets, options.target ? [options.target] : [])[0]!
  const store = await session.openStore()
  const build = new Build({
    store,
    emit: session.emit,
    cwd,
    signal: session.signal,
    ...sourceDateEpoch(process.env),
  })
  const all = await predictions(build, name, root)
  const found = all.find((prediction) => prediction.node.name === stage)
  if (!found) {
    throw new FleetsieError('E_USAGE', `the target ${name} has no stage ${JSON.stringify(stage)}`, {
      hint: `one of ${all.map((prediction) => prediction.node.name).join(', ')}`,
    })
  }
  const run = earlierRun(build, found, options.against)
  answer(session, found, run, inputNames(nodesOf(name, root), found.node.derivation))
  if (options.all) list(session, found.manifest)
}

function answer(session: Session, found: Prediction, run: RecordedRun | undefined, inputs: InputNames): void {
  const { node, manifest, key } = found
  const say = (text: string, data?: unknown): void =>
    session.emit({ type: 'answer', text, ...(data === undefined ? {} : { data }) })
  say(`${node.target}/${node.name}: ${found.runs ? 'would run' : 'is up to date'}`, {
    target: node.target,
    stage: node.name,
    key,
    runs: found.runs,
    manifest,
  })
  if (!run) {
    say('  it was never built with anything else')
    return
  }
  // Inputs that have yet to run are unknown now, which is no change of theirs.
  const known = Object.fromEntries(
    Object.entries(run.manifest).filter(([field]) => found.key !== undefined || !field.startsWith('input.')),
  )
  const changes = diffManifests(known, manifest)
  say(`  compared with the run of ${new Date(run.at).toISOString()} (key ${run.key.slice(0, 12)}):`)
  for (const change of changes) say(`  ${describe(change.name, change.before, change.after, inputs)}`, change)
  if (found.key === undefined) say(`  ${found.because}`)
  else if (changes.length === 0) say('  nothing changed')
}

function list(session: Session, manifest: Manifest): void {
  for (const [name, value] of Object.entries(manifest).sort(([a], [b]) => (a < b ? -1 : 1))) {
    session.emit({ type: 'answer', text: `  ${name} = ${value}`, data: { name, value } })
  }
}

/** `against` is a number, 1 for the last run with another key than now, or the start of a key. */
function earlierRun(build: Build, { node, key }: Prediction, against: string): RecordedRun | undefined {
  const runs = build.options.store
    .runs(build.targetId(node.target), node.name)
    .filter((run) => run.key !== key)
  const number = /^\d{1,2}$/.test(against) ? Number(against) : undefined
  const found = number === undefined ? runs.find((run) => run.key.startsWith(against)) : runs[number - 1]
  if (found || (number === 1 && runs.length === 0)) return found
  throw new FleetsieError('E_USAGE', `--against ${against}: there is no such run of ${node.name}`, {
    hint: `1 to ${runs.length}, or a key: ${runs.map((run) => run.key.slice(0, 12)).join(', ')}`,
  })
}
