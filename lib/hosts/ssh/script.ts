/** Shell text for the far side that is no argument of anything: it comes on stdin, before the script's own. */
import { Readable } from 'node:stream'
import { FleetsieError } from '../../errors.ts'
import type { RemoteOptions } from './types.ts'

const maxScript = 1024 * 1024
const end = '\n#fleetsie: the end'

/**
 * Reads exactly the text, not a byte of what follows: `sh -s` and `head -c` of some systems read ahead. Without its
 * last line nothing runs, for the connection may have broken in the middle.
 */
const reader = (size: number): string => `
text=$(dd bs=${size} count=1 iflag=fullblock 2>/dev/null || dd bs=1 count=${size} 2>/dev/null)
case $text in *'${end.trim()}') eval "$text" ;; *) exit 255 ;; esac`

/** The arguments and the stdin that run `text` with `args` by the far side's sh. Fails with E_INPUT. */
export function scriptCommand(
  text: string,
  args: readonly string[],
  stdin: RemoteOptions['stdin'],
): { argv: string[]; stdin: Readable } {
  const whole = Buffer.from(text + end)
  if (whole.includes(0)) throw new FleetsieError('E_INPUT', 'a script holds a NUL byte')
  if (whole.length > maxScript) {
    throw new FleetsieError('E_INPUT', `a script is longer than ${maxScript} bytes`, {
      hint: 'give data on its stdin',
    })
  }
  return {
    argv: ['sh', '-c', reader(whole.length), 'sh', ...args],
    stdin: Readable.from(parts(whole, stdin), { objectMode: false }),
  }
}

async function* parts(text: Buffer, stdin: RemoteOptions['stdin']): AsyncGenerator<Buffer> {
  yield text
  if (stdin === undefined) return
  if (stdin instanceof Readable) for await (const chunk of stdin) yield Buffer.from(chunk)
  else
    yield typeof stdin === 'string'
      ? Buffer.from(stdin)
      : Buffer.from(stdin.buffer, stdin.byteOffset, stdin.byteLength)
}
