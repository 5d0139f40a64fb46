/** `build`: makes the artifacts of targets. */
import { Build } from '../../engine/build.ts'
import type { BuildOptions } from '../../engine/build-options.ts'
import type { Artifact, BuildEvent } from '../../engine/events.ts'
import { topological } from '../../engine/graph.ts'
import type { RecordedBuild } from '../../engine/store/types.ts'
import { buildTarget } from '../../engine/target.ts'
import { FleetsieError, toFleetsieError } from '../../errors.ts'
import type { Session } from '../session.ts'
import { sourceDateEpoch } from '../source-date-epoch.ts'
import { chooseTargets, type Target } from '../targets.ts'

interface BuildVerbOptions {
  json?: boolean
  jobs?: number
  keepGoing?: boolean
  offline?: boolean
  /** true: everything is looked up. false: nothing. A list: all but these stages. */
  cache: boolean | string[]
  check?: boolean
  debugShell?: boolean
  dryRun?: boolean
}

export async function build(session: Session, names: string[], options: BuildVerbOptions): Promise<void> {
  await session.show({ json: options.json })
  if (options.json && options.debugShell) {
    throw new FleetsieError('E_USAGE', '--debug-shell and --json exclude each other', {
      hint: 'a shell would write between the events: leave out one of them',
    })
  }
  const project = session.requireProject()
  const targets = chooseTargets(project.targets, names)
  await session.show({
    json: options.json,
    live: !options.debugShell,
    multi: targets.length > 1,
    stages: countStages(targets),
  })
  if (options.offline) process.env['FLEETSIE_OFFLINE'] = '1'
  const store = await session.openStore()
  const build = new Build({
    store,
    emit: session.emit,
    cwd: project.cwd,
    signal: session.signal,
    ...noCache(options.cache, targets),
    ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
    ...(options.keepGoing ? { keepGoing: true } : {}),
    ...(options.check ? { check: true } : {}),
    ...(options.debugShell ? { debugShell: (await import('../debug-shell.ts')).debugShell } : {}),
    ...sourceDateEpoch(process.env),
  })
  if (options.dryRun) {
    const { predict } = await import('../../engine/predict.ts')
    for (const { name, root } of targets) await predict(build, name, root)
    return
  }
  await runAll(session, build, targets)
}

/** All targets over the same pools. The first failure is the one that is reported. */
async function runAll(session: Session, build: Build, targets: Target[]): Promise<void> {
  const results = await Promise.allSettled(targets.map(({ name, root }) => buildTarget(build, name, root)))
  const done: { target: Target; artifacts: Artifact[] }[] = []
  let failure: FleetsieError | undefined
  results.forEach((result, index) => {
    if (result.status === 'fulfilled') done.push({ target: targets[index]!, artifacts: result.value })
    else failure ??= toFleetsieError(result.reason)
  })
  for (const { target, artifacts } of done) {
    if (target.about) session.emit({ type: 'note', target: target.name, message: target.about })
    const record = build.recordOf(target.name)
    if (record) session.emit(summaryOf(target.name, record))
    session.emit({ type: 'artifacts', target: target.name, artifacts })
  }
  if (failure) throw failure
}

function countStages(targets: readonly Target[]): number {
  return targets.reduce((sum, { root }) => sum + topological(root).length, 0)
}

function summaryOf(target: string, { stages, ms }: RecordedBuild): BuildEvent {
  const ran = stages.filter(({ action }) => action !== 'cached' && action !== 'unchanged').length
  return { type: 'summary', target, ran, stages: stages.length, ms }
}

function noCache(cache: boolean | string[], targets: Target[]): Pick<BuildOptions, 'noCache'> {
  if (cache === true) return {}
  if (cache === false) return { noCache: true }
  const known = new Set(targets.flatMap(({ root }) => topological(root).map((node) => node.stage.name)))
  const unknown = cache.find((stage) => !known.has(stage))
  if (unknown !== undefined) {
    throw new FleetsieError('E_USAGE', `--no-cache=${unknown}: there is no such stage`, {
      hint: `one of ${[...known].join(', ')}; to run all stages of a target, name it first: build TARGET --no-cache`,
    })
  }
  return { noCache: new Set(cache) }
}
