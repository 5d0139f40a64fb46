/** All that the page of a target shows, from what the store remembers. Builds nothing. */
import { nodesOf } from '../../engine/nodes.ts'
import type { Store } from '../../engine/store/store.ts'
import { version } from '../../version.ts'
import type { Target } from '../targets.ts'
import { diskOf } from './collect-disk.ts'
import { edgesOf, stagesOf } from './collect-stages.ts'
import type { PageData } from './data.ts'

/** Builds whose timeline a page holds. */
const shownBuilds = 30

/** `cwd`: the folder of the pipeline. */
export async function collect(
  store: Store,
  cwd: string,
  { name, about, root }: Target,
  signal: AbortSignal,
): Promise<PageData> {
  const known = { store, targetId: `${cwd} ${name}`, nodes: nodesOf(name, root) }
  const builds = store.builds(known.targetId)
  const disk = await diskOf(known, signal)
  const failed = builds[0]?.stages.find(({ action }) => action === 'failed')
  if (failed && disk.disk) {
    disk.remarks.push(
      `The last build failed in ${failed.stage}: how full partitions are is told of the one before.`,
    )
  }
  return {
    target: name,
    about,
    made: Date.now(),
    version,
    stages: stagesOf(known, builds),
    edges: edgesOf(known.nodes),
    builds: builds.slice(0, shownBuilds),
    ...disk,
  }
}
