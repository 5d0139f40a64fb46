/** A fleet's server for as long as a verb needs it. */
import { FleetsieError } from '../../errors.ts'
import type { FleetPlace } from '../../fleet/client/fleet-folder.ts'
import type { ConnectOptions, Host, Prompts } from '../../hosts/ssh/types.ts'
import { terminalPrompts } from '../prompts.ts'
import type { Session } from '../session.ts'

/** Milliseconds after which somebody who waits wants to know for what. */
const patience = 4000

/** As `connect`. Who is not let in is told which verb lets people in, and who waits long, for what. */
export async function logIn(
  { signal, emit }: Pick<Session, 'signal' | 'emit'>,
  destination: string,
  env: ConnectOptions['env'] = process.env,
): Promise<Host> {
  const { connect } = await import('../../hosts/ssh/connect.ts')
  const timer = setTimeout(() => {
    emit({ type: 'warning', message: `${destination} has not answered yet` })
  }, patience)
  const asking = terminalPrompts(signal)
  const prompts: Prompts = {
    secret: (question) => {
      clearTimeout(timer)
      return asking.secret(question)
    },
    confirm: (question, details) => {
      clearTimeout(timer)
      return asking.confirm(question, details)
    },
  }
  try {
    return await connect(destination, { prompts, signal, env })
  } catch (error) {
    throw withSrv(error, destination)
  } finally {
    clearTimeout(timer)
  }
}

export function withSrv(error: unknown, destination: string): unknown {
  if (!(error instanceof FleetsieError) || error.code !== 'E_RIGHTS') return error
  const host = destination.slice(destination.lastIndexOf('@') + 1)
  const srv = `\`fleetsie srv USER@${host}\` sets a server up, and lets you in`
  const hint = error.hint === undefined ? srv : `${srv}; or ${error.hint}`
  return new FleetsieError('E_RIGHTS', error.message, { hint, cause: error })
}

/** Logs in as fleetsie@HOST. */
async function connectToFleet(session: Session, { host }: Pick<FleetPlace, 'host'>): Promise<Host> {
  return logIn(session, `fleetsie@${host}`)
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
