/** Reads a request from a device that may send too much, too slowly, or nothing. */
import type { Readable } from 'node:stream'
import { type ClaimRequest, parseRequest, type Unreadable } from './request.ts'

/** Bytes of a request. One of ours has 400. */
export const maxRequest = 16 * 1024
/** For the whole of it, ms. */
const maxWait = 20_000

/** The request, as soon as it is whole; the input is then closed. Never fails, and ends within `wait` ms. */
export function readRequest(input: Readable, wait: number = maxWait): Promise<ClaimRequest | Unreadable> {
  return new Promise((resolve) => {
    let text = ''
    const finish = (request: ClaimRequest | Unreadable): void => {
      clearTimeout(timer)
      input.destroy()
      resolve(request)
    }
    const look = (ended: boolean): void => {
      const request = parseRequest(text.slice(0, maxRequest), ended)
      if (request) finish(request)
      else if (text.length >= maxRequest) finish({ error: `a request has at most ${maxRequest} bytes` })
    }
    const timer = setTimeout(() => finish({ error: `no request within ${wait / 1000} seconds` }), wait)
    input.on('error', () => look(true))
    input.on('end', () => look(true))
    input.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1', 0, maxRequest)
      // Only the end of a line can make it whole.
      if (bytes.includes(0x0a) || text.length >= maxRequest) look(false)
    })
  })
}
