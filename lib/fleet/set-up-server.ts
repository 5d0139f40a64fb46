/** Sets up one server of fleets over ssh, or says what that would change. */
import { FleetsieError } from '../errors.ts'
import { apply, type Planned, plan } from '../hosts/converge.ts'
import { placeAt } from '../hosts/place.ts'
import { recordedPrompts } from '../hosts/recorded-prompts.ts'
import type { Progress } from '../hosts/resources/resource.ts'
import { connect } from '../hosts/ssh/connect.ts'
import type { ConnectOptions, Host } from '../hosts/ssh/types.ts'
import { type ServerOptions, serverState } from './server-state.ts'

export interface SetUpOptions extends Pick<ServerOptions, 'keys' | 'bundleFor' | 'password'> {
  connection: ConnectOptions
  /** Only look. */
  planOnly: boolean
  /** Told of each resource that differs, or was changed in so many milliseconds. */
  planned(change: Planned): void
  changed(change: Planned, ms: number): void
  /** Told of each before it is changed; what it answers is told how far that is. */
  changing?(change: Planned): Progress
}

export interface SetUp {
  /** How many resources were looked at, and how many of them differed. */
  resources: number
  differed: number
}

/**
 * `destination` is USER@SERVER. Fails with E_INPUT when nobody can log in there, else as the first resource that cannot
 * be made so; what was done until then stays, and the next call goes on.
 */
export async function setUpServer(destination: string, options: SetUpOptions): Promise<SetUp> {
  const { connection, planOnly } = options
  const prompts = recordedPrompts(connection.prompts)
  const host = await logIn(destination, { ...connection, prompts: prompts.first })
  try {
    const again = (): Promise<Host> => connect(destination, { ...connection, prompts: prompts.again })
    const place = placeAt(host, { again, signal: connection.signal })
    const resources = await serverState(options)
    const differing = await plan(place, resources)
    if (planOnly) for (const change of differing) options.planned(change)
    else await apply(place, resources, differing, options.changed, options.changing)
    return { resources: resources.length, differed: differing.length }
  } finally {
    await host.close()
  }
}

/** The documented end of a server that cannot be reached is 1. A key that is not the known one is told as that. */
async function logIn(destination: string, options: ConnectOptions): Promise<Host> {
  try {
    return await connect(destination, options)
  } catch (error) {
    const known = error instanceof FleetsieError && ['E_IO', 'E_TIMEOUT', 'E_RIGHTS'].includes(error.code)
    if (!known) throw error
    const { message, hint } = error
    throw new FleetsieError('E_INPUT', message, { cause: error, ...(hint === undefined ? {} : { hint }) })
  }
}
