/** `srv`: sets up fleet servers over ssh, or says what would change. */
import { serverBundle } from '../../../stages/server-bundle.ts'
import { Build } from '../../engine/build.ts'
import { nodesOf } from '../../engine/nodes.ts'
import type { Store } from '../../engine/store/store.ts'
import { FleetsieError, toFleetsieError } from '../../errors.ts'
import type { Architecture } from '../../fleet/bundle/listing.ts'
import { setUpServer } from '../../fleet/set-up-server.ts'
import type { Planned } from '../../hosts/converge.ts'
import { keyInFile, offeredKeys } from '../../hosts/public-keys.ts'
import { parseDestination } from '../../hosts/ssh/destination.ts'
import type { Prompts } from '../../hosts/ssh/types.ts'
import { newPassword } from '../fleet/new-password.ts'
import { terminalPrompts } from '../prompts.ts'
import type { Session } from '../session.ts'

interface SrvOptions {
  json?: boolean
  plan?: boolean
  key?: string
  jobs: number
}

/** What all servers share. */
interface Job {
  session: Session
  options: SrvOptions
  prompts: Prompts
  key: string | undefined
  bundleFor(architecture: Architecture): Promise<string>
}

export async function srv(session: Session, servers: readonly string[], options: SrvOptions): Promise<void> {
  await session.show({ json: options.json })
  for (const server of servers) parseDestination(server)
  const wanted = [...new Set(servers)]
  // Of several, one may ask something while another moves the cursor.
  await session.show({ json: options.json, live: wanted.length === 1 })
  // While the servers are being reached.
  const store = session.openStore()
  store.catch(() => {})
  const job: Job = {
    session,
    options,
    prompts: terminalPrompts(session.signal),
    key: options.key === undefined ? undefined : await keyInFile(options.key),
    bundleFor: bundles(session, store),
  }
  const waiting = wanted.values()
  const failed: FleetsieError[] = []
  const work = async (): Promise<void> => {
    for (const server of waiting) {
      const failure = await setUp(job, server)
      if (failure === undefined) continue
      failed.push(failure)
      if (wanted.length === 1 || session.signal.aborted) continue
      const { code, message, hint } = failure
      session.emit({ type: 'server-failed', server, code, message, ...(hint === undefined ? {} : { hint }) })
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, work))
  await store.catch(() => {})
  session.signal.throwIfAborted()
  if (failed.length === 0) return
  if (wanted.length === 1) throw failed[0]
  throw new FleetsieError('E_STAGE', `${failed.length} of ${wanted.length} servers failed`)
}

/** Sets up one; answers why it failed. */
async function setUp(job: Job, server: string): Promise<FleetsieError | undefined> {
  const { session, options, prompts } = job
  const started = performance.now()
  const told = ({ resource, difference }: Planned) => ({ server, resource: resource.name, ...difference })
  try {
    const connection = { prompts, signal: session.signal, env: process.env }
    const { resources, differed } = await setUpServer(server, {
      connection,
      keys: job.key === undefined ? await offeredKeys(server, connection) : [job.key],
      bundleFor: job.bundleFor,
      password: () => newPassword(prompts, `the user fleetsie of ${server}`),
      planOnly: options.plan ?? false,
      planned: (change) => session.emit({ type: 'resource', action: 'planned', ...told(change) }),
      changing: (change) => {
        const { resource, because } = told(change)
        // Its kind: the name is long, and stands in the line that tells of the change.
        const running = { target: server, stage: resource.split(' ')[0]! }
        session.emit({ type: 'start', ...running, because })
        return (done, total) => session.emit({ type: 'progress', ...running, done, total, unit: 'bytes' })
      },
      changed: (change, ms) => session.emit({ type: 'resource', action: 'changed', ms, ...told(change) }),
    })
    const ms = performance.now() - started
    session.emit({ type: 'server', server, plan: options.plan ?? false, resources, differ: differed, ms })
    return undefined
  } catch (error) {
    return toFleetsieError(error)
  }
}

/** Each architecture's bundle is built once, however many servers have it. */
function bundles(session: Session, store: Promise<Store>): (architecture: Architecture) => Promise<string> {
  const made = new Map<Architecture, Promise<string>>()
  const make = async (architecture: Architecture): Promise<string> => {
    const build = new Build({
      store: await store,
      emit: (event) => {
        // A server's lines tell what was done; that a closure was at hand is no news.
        if (event.type !== 'stage' || !['cached', 'unchanged'].includes(event.action)) session.emit(event)
      },
      cwd: process.cwd(),
      signal: session.signal,
    })
    const bundle = serverBundle({ architecture })
    const nodes = nodesOf('srv', bundle)
    try {
      return (await build.realise(nodes, bundle)).path
    } finally {
      build.end('srv', nodes)
    }
  }
  return (architecture) => {
    const promise = made.get(architecture) ?? make(architecture)
    made.set(architecture, promise)
    return promise
  }
}
