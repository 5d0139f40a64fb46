/** The end of a connection of which the other side has gone without a word. */
import type { Duplex } from 'node:stream'
import type { Client } from 'ssh2'

/** How often the other side is asked for a sign of life, milliseconds. */
export const keepaliveMs = 10_000
/** A link that brings nothing for so long, not even answers to that, is dead. */
const silenceMs = 45_000

/**
 * Counts what comes rather than answers that are missing, as ssh2 does: an answer cannot overtake a long upload, but
 * the machine's acknowledgements of that come all the time.
 */
export function endWhenSilent(stream: Duplex, client: Pick<Client, 'emit' | 'once'>): void {
  let heard = Date.now()
  stream.on('data', () => {
    heard = Date.now()
  })
  const timer = setInterval(() => {
    if (stream.destroyed || Date.now() - heard < silenceMs) return
    client.emit('error', new Error(`nothing came for ${silenceMs / 1000} s`))
    stream.destroy()
  }, keepaliveMs / 2)
  timer.unref()
  client.once('close', () => clearInterval(timer))
}
