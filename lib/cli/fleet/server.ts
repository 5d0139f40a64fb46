/** A fleet's server for as long as a verb needs it. */
import { FleetsieError } from '../../errors.ts'
import type { FleetPlace } from '../../fleet/client/fleet-folder.ts'
import type { ConnectOptions, Host } from '../../hosts/ssh/types.ts'
import { terminalPrompts } from '../prompts.ts'
import type { Session } from '../session.ts'

/** As `connect`. Who is not let in is told which verb lets people in. */
export async function logIn(destination: string, options: ConnectOptions): Promise<Host> {
  const { connect } = await import('../../hosts/ssh/connect.ts')
  return connect(destination, options).catch((error: unknown) => {
    throw withSrv(error, destination)
  })
}

export function withSrv(error: unknown, destination: string): unknown {
  if (!(error instanceof FleetsieError) || error.code !== 'E_RIGHTS') return error
  const host = destination.slice(destination.lastIndexOf('@') + 1)
  const srv = `\`fleetsie srv USER@${host}\` sets a server up, and lets you in`
  const hint = error.hint === undefined ? srv : `${srv}; or ${error.hint}`
  return new FleetsieError('E_RIGHTS', error.message, { hint, cause: error })
}

/** Logs in as fleetsie@HOST. */
export async function connectToFleet(session: Session, { host }: Pick<FleetPlace, 'host'>): Promise<Host> {
  const { signal } = session
  return logIn(`fleetsie@${host}`, { prompts: terminalPrompts(signal), signal, env: process.env })
}

/** Gives `work` a connection that is closed afterwards. */
export async function onFleetServer<T>(
  session: Session,
  place: Pick<FleetPlace, 'host'>,
  work: (host: Host) => Promise<T>,
): Promise<T> {
  const host = await connectToFleet(session, place)
  try {
    return await work(host)
  } finally {
    await host.close()
  }
}
