/** For every connected device of a fleet a port here, the same as its reserved one on the server, until told to end. */
import { setTimeout as wait } from 'node:timers/promises'
import { type ErrorCode, toFleetsieError } from '../../errors.ts'
import type { Host } from '../../hosts/ssh/types.ts'
import { type Connected, connectedDevices } from './connected.ts'
import { type ForwardedPort, forwardPort } from './forwarded-port.ts'

/** open: the port leads to the device. closed: the device is gone. busy: it cannot be had here, mostly for it is taken. */
export type PortChange =
  | { what: 'open' | 'closed'; hostname: string; port: number }
  | { what: 'busy'; hostname: string; port: number; reason: string }
/** none: no device was connected at the first look. lost, back: the connection to the server. */
export type ServerChange = { what: 'none' } | { what: 'lost'; message: string } | { what: 'back' }

export interface Following {
  connect: () => Promise<Host>
  fleet: string
  tell: (change: PortChange | ServerChange) => void
  /** Called once, when the server has said that it has the fleet. */
  found?: () => Promise<void>
  signal: AbortSignal
  /** Milliseconds between looks. */
  every?: number
}

/** What time may mend; a changed host key or a refused login it does not. */
const passing: ReadonlySet<ErrorCode> = new Set(['E_IO', 'E_TIMEOUT'])

interface Entry extends Connected {
  /** Undefined while somebody else has the port. */
  forwarded: ForwardedPort | undefined
}

/** Follows who comes and goes. Ends only by the signal, or by a failure of the first look. */
export async function followPorts(following: Following): Promise<void> {
  const { connect, fleet, tell, signal, every = 2000 } = following
  const entries = new Map<string, Entry>()
  let host = await connect()
  const open = (port: number) => host.forward(port)
  try {
    const first = await connectedDevices(host, fleet, signal)
    await following.found?.()
    if (first.length === 0) tell({ what: 'none' })
    await take(entries, first, open, tell)
    while (!signal.aborted) {
      await wait(every, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      try {
        await take(entries, await connectedDevices(host, fleet, signal), open, tell)
      } catch (error) {
        if (signal.aborted) return
        const { code, message } = toFleetsieError(error)
        if (!passing.has(code)) throw error
        tell({ what: 'lost', message })
        await host.close()
        host = await connectAgain(connect, every, signal, host)
        if (!signal.aborted) tell({ what: 'back' })
      }
    }
  } finally {
    await Promise.all([...entries.values()].map(({ forwarded }) => forwarded?.close()))
    await host.close()
  }
}

async function take(
  entries: Map<string, Entry>,
  now: readonly Connected[],
  open: (port: number) => ReturnType<Host['forward']>,
  tell: Following['tell'],
): Promise<void> {
  const wanted = new Map(now.map((device) => [device.hostname, device]))
  for (const [hostname, entry] of entries) {
    if (wanted.get(hostname)?.port === entry.port) continue
    entries.delete(hostname)
    await entry.forwarded?.close()
    tell({ what: 'closed', hostname, port: entry.port })
  }
  for (const { hostname, port } of wanted.values()) {
    const before = entries.get(hostname)
    if (before?.forwarded) continue
    const forwarded = await forwardPort(port, () => open(port)).catch((error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'another program has this port' : error.message
      if (!before) tell({ what: 'busy', hostname, port, reason })
    })
    entries.set(hostname, { hostname, port, forwarded: forwarded ?? undefined })
    if (forwarded) tell({ what: 'open', hostname, port })
  }
}

/** A server restarts, a laptop sleeps: as long as it takes, and less and less often. */
async function connectAgain(
  connect: () => Promise<Host>,
  every: number,
  signal: AbortSignal,
  closed: Host,
): Promise<Host> {
  for (let pause = every; !signal.aborted; pause = Math.min(pause * 2, 30_000)) {
    try {
      return await connect()
    } catch (error) {
      if (!passing.has(toFleetsieError(error).code)) throw error
      await wait(pause, undefined, { signal }).catch(() => {})
    }
  }
  return closed
}
