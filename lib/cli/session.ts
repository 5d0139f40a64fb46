/** One run of the program: its renderer, its signals, the store when a verb needs one, and an orderly end. */
import type { BuildEvent } from '../engine/events.ts'
import { killAll } from '../engine/process.ts'
import type { Store } from '../engine/store/store.ts'
import type { StoreOptions } from '../engine/store/types.ts'
import { errorCodes, FleetsieError } from '../errors.ts'
import type { Project } from './project.ts'
import { plainRenderer } from './renderers/plain.ts'
import type { Renderer } from './renderers/renderer.ts'
import { storeFolder } from './store-folder.ts'

export class Session {
  readonly project: Project | undefined
  readonly controller = new AbortController()
  /** Set when a signal ended the run. */
  interrupted: FleetsieError | undefined
  /** Of a verb that goes on until Ctrl-C: that it comes is no failure to tell of. */
  endsByInterrupt = false
  private renderer: Renderer = plainRenderer(process, false)
  private store: Store | undefined
  private readonly onSignal = (signal: NodeJS.Signals): void => this.interrupt(signal)
  private readonly onExit = (): void => killAll()

  constructor(project: Project | undefined) {
    this.project = project
    process.on('SIGINT', this.onSignal).on('SIGTERM', this.onSignal).on('SIGHUP', this.onSignal)
    // Groups of their own outlive an uncaught exception.
    process.on('exit', this.onExit)
    // Who reads the output may stop early (`build | head`): the work goes on, unseen.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', outputFailed)
  }

  emit = (event: BuildEvent): void => this.renderer.emit(event)

  get signal(): AbortSignal {
    return this.controller.signal
  }

  /** Chooses how events are shown. `live` asks for the moving view where stdout is a terminal. */
  async show(options: {
    json?: boolean | undefined
    live?: boolean
    multi?: boolean
    /** How many stages there are, for the live view. */
    stages?: number
  }): Promise<void> {
    if (options.json) {
      const { jsonRenderer } = await import('./renderers/json.ts')
      this.renderer = jsonRenderer(process.stdout)
    } else if (options.live && canMoveCursor()) {
      const { liveRenderer } = await import('./renderers/live.ts')
      this.renderer = liveRenderer(process, options.multi ?? false, options.stages)
    } else {
      this.renderer = plainRenderer(process, options.multi ?? false)
    }
  }

  /** Shows events by a renderer of one's own. */
  showBy(renderer: Renderer): void {
    this.renderer = renderer
  }

  /** The store of this user, opened once. */
  async openStore(options: StoreOptions = {}): Promise<Store> {
    const { Store } = await import('../engine/store/store.ts')
    this.store ??= await Store.open(await storeFolder(), { emit: this.emit, ...options })
    return this.store
  }

  /** The pipeline that a verb works on. Fails with E_USAGE where there is none. */
  requireProject(): Project {
    if (this.project) return this.project
    throw new FleetsieError('E_USAGE', 'there is no pipeline.ts in this folder or above it', {
      hint: 'go to the folder of your pipeline.ts',
    })
  }

  private interrupt(signal: NodeJS.Signals): void {
    if (this.interrupted) {
      // Asked twice: no more patience with children that clean up.
      killAll()
      process.exit(130)
    }
    this.interrupted = new FleetsieError('E_INTERRUPTED', `interrupted by ${signal}`)
    this.controller.abort(this.interrupted)
  }

  async close(): Promise<void> {
    await this.store?.close()
    this.renderer.close()
    killAll()
    process.off('exit', this.onExit)
    process.off('SIGINT', this.onSignal).off('SIGTERM', this.onSignal).off('SIGHUP', this.onSignal)
  }
}

function outputFailed(error: NodeJS.ErrnoException): void {
  // What comes after the first error is lost for the same reason.
  if (error.code === 'EPIPE' || process.exitCode === errorCodes.E_IO.exit) return
  process.exitCode = errorCodes.E_IO.exit
  const message = `the output could not be written: ${error.message}`
  plainRenderer(process, false).emit({ type: 'error', code: 'E_IO', message })
}

function canMoveCursor(): boolean {
  return process.stdout.isTTY && process.env['TERM'] !== 'dumb' && !process.env['CI']
}
