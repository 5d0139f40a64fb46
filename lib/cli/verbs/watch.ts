/** `watch`: builds targets, and again whenever something that they depend on is edited. */
import { fstatSync, realpathSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { BuildOptions } from '../../engine/build-options.ts'
import { nodeNames, topological } from '../../engine/graph.ts'
import { FleetsieError, toFleetsieError } from '../../errors.ts'
import { commandLine } from '../command-line.ts'
import { errorEvent } from '../error-event.ts'
import { toldRenderer } from '../renderers/told.ts'
import type { Session } from '../session.ts'
import { sourceDateEpoch } from '../source-date-epoch.ts'
import { storeFolder } from '../store-folder.ts'
import { chooseTargets, type Target } from '../targets.ts'
import type { Goal } from '../watch/attempt.ts'
import { isBuilder, type Order, tell } from '../watch/messages.ts'
import type { Command } from '../watch/then.ts'

interface WatchVerbOptions {
  json?: boolean
  jobs?: number
  offline?: boolean
  until?: string
  /** A command for sh, or true: it stands after `--`. */
  then?: string | true
  sync?: string
}

export async function watch(session: Session, operands: string[], options: WatchVerbOptions): Promise<void> {
  await session.show({ json: options.json })
  const { script, args } = commandLine(process.argv)
  const { names, command } = splitCommand(operands, args, options)
  if (isBuilder()) return serve(session, names, options, command)
  await session.show({ json: options.json, live: true, multi: names.length > 1 })
  session.requireProject()
  if (process.env['FLEETSIE_STORE']) process.env['FLEETSIE_STORE'] = resolve(process.env['FLEETSIE_STORE'])
  const ended = new AbortController()
  endWith(ended, session)
  const { supervise } = await import('../watch/supervisor.ts')
  const real = realpathSync(script)
  await supervise({
    script: real,
    cwd: dirname(real),
    args,
    emit: session.emit,
    without: [await storeFolder()],
    signal: ended.signal,
  })
}

/** Signals end it, and so does the end of what it talks to: a pipe to stdin that is closed, a terminal that is gone. */
function endWith(ended: AbortController, session: Session): void {
  const end = (): void => ended.abort()
  session.signal.addEventListener('abort', end, { once: true })
  process.stdout.once('error', end)
  const stdin = fstatSync(0)
  if (stdin.isFIFO() || stdin.isSocket()) process.stdin.once('end', end).once('error', end).resume()
  ended.signal.addEventListener('abort', () => process.stdin.destroy(), { once: true })
}

/** The process that builds. The other one shows what it tells. */
async function serve(
  session: Session,
  names: readonly string[],
  options: WatchVerbOptions,
  command: Command | undefined,
): Promise<void> {
  session.showBy(toldRenderer((event) => tell({ type: 'event', id: 0, event })))
  const over = new Promise<void>((resolve) => {
    session.signal.addEventListener('abort', () => resolve(), { once: true })
    process.once('disconnect', resolve)
    process.on('message', (order: Order) => order.type === 'end' && resolve())
  })
  try {
    const { Builder } = await import('../watch/builder.ts')
    const project = session.requireProject()
    const goals = goalsOf(chooseTargets(project.targets, names), options.until)
    if (options.offline) process.env['FLEETSIE_OFFLINE'] = '1'
    const build: BuildOptions = {
      store: await session.openStore(),
      emit: session.emit,
      cwd: project.cwd,
      signal: session.signal,
      ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
      ...sourceDateEpoch(process.env),
    }
    const then = command && new (await import('../watch/then.ts')).Then(command, project.cwd, session.emit)
    const sync = options.sync === undefined ? undefined : await syncing(options.sync, goals, session)
    const builder = new Builder(build, project, goals, {
      building: (attempt) => sync?.start(attempt),
      // What it restarts on the device has to be there.
      built: (signal) => then?.start(signal, sync?.settled()),
    })
    await builder.tellList()
    process.on('message', (order: Order) => order.type === 'build' && builder.order(order.id, order.edited))
    builder.order(0, true)
    await over
    await builder.end()
    await then?.ended()
    await sync?.close()
  } catch (error) {
    tell({ type: 'unloadable', error: errorEvent(toFleetsieError(error)) })
  }
}

async function syncing(destination: string, goals: readonly Goal[], session: Session) {
  const goal = goals.find(({ root }) => topological(root).some(({ stage }) => stage.name === 'save'))
  if (!goal) {
    throw new FleetsieError('E_USAGE', '--sync takes a target that makes an image', {
      hint: 'one with the stage `save`, which knows the layers and their partitions',
    })
  }
  if (goals.length > 1) {
    throw new FleetsieError('E_USAGE', '--sync takes one target, for it is one device', {
      hint: `watch ${goal.name} --sync ${destination}`,
    })
  }
  const { Syncing } = await import('../watch/syncing.ts')
  return new Syncing(destination, goal, session.emit)
}

/** Where each target's build stops. Fails with E_USAGE for a stage that none of them has. */
function goalsOf(targets: readonly Target[], until: string | undefined): Goal[] {
  if (until === undefined) return targets.map((target) => ({ ...target, end: target.root }))
  const names = targets.map((target) => nodeNames(target.root))
  const goals = targets.flatMap((target, index) => {
    const found = [...names[index]!].find(([, name]) => name === until)
    return found ? [{ ...target, end: found[0] }] : []
  })
  if (goals.length > 0) return goals
  throw new FleetsieError('E_USAGE', `--until ${until}: there is no such stage`, {
    hint: `one of ${[...new Set(names.flatMap((found) => [...found.values()]))].join(', ')}`,
  })
}

/** What stands after `--` is the program of `--then`, not targets. */
function splitCommand(operands: readonly string[], args: readonly string[], { then }: WatchVerbOptions) {
  const dashes = args.indexOf('--')
  const after = dashes === -1 ? [] : args.slice(dashes + 1)
  const names = operands.slice(0, operands.length - after.length)
  if (then === undefined && after.length > 0) {
    throw new FleetsieError('E_USAGE', 'a program after `--` takes --then', {
      hint: `watch --then -- ${after.join(' ')}`,
    })
  }
  if (typeof then === 'string' && after.length > 0) {
    throw new FleetsieError('E_USAGE', '--then takes a command or, after `--`, a program; here are both')
  }
  if (then === true && after.length === 0) {
    throw new FleetsieError('E_USAGE', '--then takes a command', {
      hint: "--then './try.sh', or --then -- PROGRAM ARGUMENTS",
    })
  }
  const command = typeof then === 'string' ? (['sh', '-c', then] as const) : after
  return { names, command: command.length > 0 ? (command as Command) : undefined }
}
