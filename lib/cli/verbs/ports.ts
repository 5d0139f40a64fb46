/** `ports FLEET USER@HOST`: a port here for every connected device, until Ctrl-C. */
import { type FleetPlace, findPlace, rememberHost } from '../../fleet/client/fleet-folder.ts'
import { followPorts, type PortChange, type ServerChange } from '../../fleet/client/follow-ports.ts'
import { logIn } from '../fleet/server.ts'
import type { Session } from '../session.ts'

export async function ports(
  session: Session,
  fleet: string,
  destination: string | undefined,
  options: { json?: boolean },
): Promise<void> {
  await session.show(options)
  const at = destination?.lastIndexOf('@') ?? -1
  const host = destination?.slice(at + 1)
  const place = await findPlace(process.env, fleet, host)
  const user = at > 0 ? destination!.slice(0, at) : 'fleetsie'
  const { signal } = session
  session.endsByInterrupt = true
  await followPorts({
    fleet: place.fleet,
    signal,
    connect: () => logIn(session, `${user}@${place.host}`),
    found: () => rememberHost(process.env, place),
    tell: (change) => tell(session, place, change),
  })
}

function tell(session: Session, { fleet, host }: FleetPlace, change: PortChange | ServerChange): void {
  switch (change.what) {
    case 'none': {
      const message = `no device of ${fleet} is connected; waiting for the first`
      session.emit({ type: 'note', message })
      return
    }
    case 'lost':
      session.emit({ type: 'warning', message: `${host} is lost: ${change.message}; trying again` })
      return
    case 'back':
      session.emit({ type: 'note', message: `${host} is there again` })
      return
    case 'busy': {
      const { hostname, port, reason } = change
      session.emit({ type: 'warning', message: `${hostname}: no port ${port} here: ${reason}` })
      return
    }
    default: {
      const { what, hostname, port } = change
      const text = what === 'open' ? `localhost:${port}` : 'not connected any more'
      session.emit({ type: 'answer', text: `${hostname.padEnd(12)} ${text}`, data: change })
    }
  }
}
