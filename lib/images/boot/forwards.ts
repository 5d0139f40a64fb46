/** Ports of this machine that lead into a booted image. */
import { createServer } from 'node:net'
import { FleetsieError } from '../../errors.ts'

export interface Forward {
  /** TCP port on 127.0.0.1. */
  host: number
  /** TCP port in the image. */
  guest: number
}

const triesForFree = 100

/** `8080:80`. Fails with E_USAGE. */
export function parseForward(text: string): Forward {
  const [host, guest, ...rest] = text.split(':').map(port)
  if (host !== undefined && guest !== undefined && rest.length === 0) return { host, guest }
  throw new FleetsieError('E_USAGE', `${JSON.stringify(text)} is no pair of ports`, {
    hint: 'first the port here, then the one in the image: --forward 8080:80',
  })
}

function port(text: string): number | undefined {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return number > 0 && number < 65_536 ? number : undefined
}

/**
 * The same forward, from the first port at or above its own that nobody listens on and that is not in `taken`. Somebody may
 * take it before qemu does: then qemu says so and ends.
 */
export async function freeForward({ host, guest }: Forward, taken: readonly Forward[]): Promise<Forward> {
  for (let at = host; at < Math.min(host + triesForFree, 65_536); at++) {
    if (!taken.some((other) => other.host === at) && (await isFree(at))) return { host: at, guest }
  }
  throw new FleetsieError('E_IO', `no port from ${host} on is free on this machine`, {
    hint: `choose one: --forward PORT:${guest}`,
  })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}
