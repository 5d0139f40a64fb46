/** `--sync`: layer sets go to a running device as soon as they are built, before the image is. */
import type { Emit } from '../../engine/events.ts'
import { topological } from '../../engine/graph.ts'
import { nodesOf } from '../../engine/nodes.ts'
import type { Derivation } from '../../engine/stage.ts'
import { toFleetsieError } from '../../errors.ts'
import { createSync, type Sync } from '../../images/sync/sync.ts'
import type { Attempt, Goal } from './attempt.ts'

export class Syncing {
  private readonly sync: Sync
  private readonly goal: Goal
  private readonly emit: Emit
  private last: Promise<void> = Promise.resolve()

  /** Fails with E_USAGE for a destination that is none. */
  constructor(destination: string, goal: Goal, emit: Emit) {
    this.goal = goal
    this.emit = emit
    const warn = (message: string): void => emit({ type: 'warning', message })
    this.sync = createSync({ destination, warn })
  }

  /**
   * Begins beside the build; the promise is settled when nothing is read any more. Never fails: what goes wrong is told,
   * and the next push brings everything.
   */
  start(attempt: Attempt): Promise<void> {
    const push = this.push(attempt)
    this.last = Promise.all([this.last, push]).then(() => {})
    return push
  }

  /** When no push is left. */
  settled(): Promise<void> {
    return this.last
  }

  async close(): Promise<void> {
    await this.last
    await this.sync.close()
  }

  private async push(attempt: Attempt): Promise<void> {
    try {
      const { image, table, layers } = savedInputs(this.goal)
      const nodes = nodesOf(this.goal.name, this.goal.root)
      const realise = (input: Derivation) => attempt.build.realise(nodes, input)
      const objects = await Promise.all([realise(image), realise(table), ...layers.map(realise)]).catch(
        () => undefined,
      )
      // The build itself tells why a stage failed.
      if (objects === undefined || attempt.signal.aborted) return
      const { files, bytes, deleted, ms } = await this.sync.push(
        { image: objects[0], table: objects[1], layers: objects.slice(2) },
        attempt.signal,
      )
      if (files + deleted === 0) return
      const gone = deleted > 0 ? `, ${deleted} removed` : ''
      const count = `${files} ${files === 1 ? 'file' : 'files'}, ${bytes} bytes`
      this.emit({ type: 'note', stage: 'sync', message: `${count}${gone} in ${ms} ms` })
    } catch (error) {
      const { code, message, hint } = toFleetsieError(error)
      if (code === 'E_INTERRUPTED') return
      this.emit({ type: 'warning', stage: 'sync', message: hint ? `${message}\n  try: ${hint}` : message })
    }
  }
}

interface SavedInputs {
  image: Derivation
  table: Derivation
  layers: Derivation[]
}

/** What the target's `save` takes. */
function savedInputs({ root }: Goal): SavedInputs {
  const save = topological(root).find(({ stage }) => stage.name === 'save')
  return save!.options as unknown as SavedInputs
}
