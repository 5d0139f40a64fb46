/** A port of this machine that leads to one of another. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'

export interface ForwardedPort {
  port: number
  /** Ends what is connected as well. */
  close(): Promise<void>
}

/**
 * Listens on 127.0.0.1, on any port for 0. Each connection gets a stream of its own from `open`. Fails as `listen` does:
 * EADDRINUSE.
 */
export async function forwardPort(port: number, open: () => Promise<Duplex>): Promise<ForwardedPort> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // One that breaks off concerns nobody but who opened it.
    join(socket, open).catch(() => socket.destroy())
  })
  await listening(server, port)
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

async function join(socket: Socket, open: () => Promise<Duplex>): Promise<void> {
  socket.on('error', () => {})
  const far = await open()
  if (socket.destroyed) {
    far.destroy()
    return
  }
  socket.resume()
  try {
    await Promise.all([pipeline(socket, far), pipeline(far, socket)])
  } finally {
    far.destroy()
  }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host: '127.0.0.1' }, () => {
      server.off('error', reject)
      // A connection that cannot be taken for want of a file descriptor: the next one may.
      server.on('error', () => {})
      resolve()
    })
  })
}
