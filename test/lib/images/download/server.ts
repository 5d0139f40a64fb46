/** A web server on loopback that misbehaves as a test wants it to. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface TestServer {
  url: string
  /** The Range header of each request so far. */
  ranges: (string | undefined)[]
  close(): Promise<void>
}

export type Handler = (request: IncomingMessage, response: ServerResponse, number: number) => void

/** `number` counts requests from 1. */
export async function serve(handler: Handler): Promise<TestServer> {
  const ranges: (string | undefined)[] = []
  const server = createServer((request, response) => {
    ranges.push(request.headers.range)
    handler(request, response, ranges.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    ranges,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A server that does what the standard says, ETag and all. */
export function honest(body: Buffer, etag = '"1"'): Handler {
  return (request, response) => {
    const first = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]
    const same = request.headers['if-range'] === undefined || request.headers['if-range'] === etag
    if (first === undefined || !same) {
      response.writeHead(200, { 'content-length': body.length, etag }).end(body)
    } else if (Number(first) >= body.length) {
      response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end()
    } else {
      const range = `bytes ${first}-${body.length - 1}/${body.length}`
      const rest = body.subarray(Number(first))
      response.writeHead(206, { 'content-length': rest.length, 'content-range': range, etag }).end(rest)
    }
  }
}

/** Promises the whole body, sends its first bytes and breaks the connection. */
export function breakOff(response: ServerResponse, body: Buffer, sent: number, etag = '"1"'): void {
  response.writeHead(200, { 'content-length': body.length, etag })
  response.write(body.subarray(0, sent), () => response.destroy())
}
