/** Questions to the person at the terminal: on /dev/tty, never on stdout, which may hold JSON. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { FleetsieError } from '../errors.ts'
import type { Prompts } from '../hosts/ssh/types.ts'

/** No password is longer (PAM takes 512 bytes). */
const maxAnswer = 4096

/**
 * Asks on the terminal, one question at a time. Fails with E_USAGE where there is none, E_CANCELLED when the user ends
 * the input (Ctrl-D), E_INTERRUPTED when `signal` comes.
 */
export function terminalPrompts(signal: AbortSignal): Prompts {
  let last: Promise<unknown> = Promise.resolve()
  const ask = (question: string, hidden: boolean): Promise<string> => {
    const answer = last.then(() => askOnTerminal(question, hidden, signal))
    last = answer.catch(() => {})
    return answer
  }
  return {
    secret: (question) => ask(question, true),
    confirm: async (question, details) => {
      const lines = [...details, `${question} (yes/no) `]
      return /^y(es)?$/i.test((await ask(lines.join('\n'), false)).trim())
    },
  }
}

async function askOnTerminal(question: string, hidden: boolean, signal: AbortSignal): Promise<string> {
  const interrupted = (): FleetsieError => new FleetsieError('E_INTERRUPTED', 'interrupted at a question')
  if (signal.aborted) throw interrupted()
  const output = openTerminal(question)
  const input = new ReadStream(openTerminal(question))
  const line = new Line()
  let stop = (): void => {}
  try {
    // Before the question: what is typed at once must not be seen.
    if (hidden) input.setRawMode(true)
    writeSync(output, question)
    return await new Promise<string>((resolve, reject) => {
      stop = (): void => {
        // The terminal shows ^C behind the question.
        if (!hidden) writeSync(output, '\n')
        reject(interrupted())
      }
      signal.addEventListener('abort', stop, { once: true })
      const end = (): void => {
        if (!hidden) writeSync(output, '\n')
        reject(new FleetsieError('E_CANCELLED', 'cancelled at a question'))
      }
      input.once('error', reject).once('end', end)
      input.setEncoding('utf8').on('data', (text: string) => {
        const said = line.take(text)
        if (said === 'end') end()
        // As the terminal does it where the input is not hidden.
        else if (said === 'interrupt') process.kill(process.pid, 'SIGINT')
        else if (said === 'line') resolve(line.text)
      })
    })
  } finally {
    signal.removeEventListener('abort', stop)
    if (hidden) {
      input.setRawMode(false)
      writeSync(output, '\n')
    }
    input.destroy()
    closeSync(output)
  }
}

function openTerminal(question: string): number {
  try {
    return openSync('/dev/tty', 'r+')
  } catch (cause) {
    throw new FleetsieError('E_USAGE', `there is no terminal to ask on: ${question.trim()}`, {
      hint: 'run it in a terminal, or see to it that nothing is asked: keys in ssh-agent, the host in known_hosts, sudo without a password',
      cause,
    })
  }
}

/** What was typed, with the keys that a terminal would have handled. */
class Line {
  text = ''

  take(typed: string): 'line' | 'end' | 'interrupt' | undefined {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences of arrow keys and the like
    for (const key of typed.replace(/\x1b(\[[0-9;]*[A-Za-z~]|O?.)?/g, '')) {
      if (key === '\r' || key === '\n') return 'line'
      if (key === '\x03') return 'interrupt'
      if (key === '\x04' && this.text === '') return 'end'
      if (key === '\x7f' || key === '\b') this.text = [...this.text].slice(0, -1).join('')
      else if (key === '\x15') this.text = ''
      else if (key >= ' ' && this.text.length < maxAnswer) this.text += key
    }
    return undefined
  }
}
