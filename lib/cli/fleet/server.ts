/** A fleet's server for as long as a verb needs it. */
import type { FleetPlace } from '../../fleet/client/fleet-folder.ts'
import type { Host } from '../../hosts/ssh/types.ts'
import { terminalPrompts } from '../prompts.ts'
import type { Session } from '../session.ts'

/** Logs in as fleetsie@HOST. */
export async function connectToFleet(session: Session, { host }: Pick<FleetPlace, 'host'>): Promise<Host> {
  const { connect } = await import('../../hosts/ssh/connect.ts')
  const { signal } = session
  return connect(`fleetsie@${host}`, { prompts: terminalPrompts(signal), signal, env: process.env })
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
