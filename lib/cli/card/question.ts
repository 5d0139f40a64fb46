/** The question before a card is written. */
import { createInterface } from 'node:readline/promises'
import { FleetsieError } from '../../errors.ts'

/**
 * Fails with E_CANCELLED unless the answer is y or Y. Without a terminal nobody can answer: `-y` is the way to say so
 * beforehand, and what a pipe happens to hold is no answer.
 */
export async function ask(question: string, signal: AbortSignal): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new FleetsieError('E_CANCELLED', 'nothing was written: there is no terminal to ask on', {
      hint: 'with -y nothing is asked',
    })
  }
  // As a terminal, readline would take Ctrl-C for itself.
  const dialogue = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  // Ctrl-D is an answer as well.
  const closed = new Promise<string>((resolve) => dialogue.once('close', () => resolve('')))
  try {
    const answer = await Promise.race([dialogue.question(`${question} (y/N) `, { signal }), closed])
    if (answer.trim() === 'y' || answer.trim() === 'Y') return
  } finally {
    dialogue.close()
  }
  throw new FleetsieError('E_CANCELLED', 'cancelled; nothing was written')
}
