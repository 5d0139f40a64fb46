/** Someone who answers questions, and what was asked. */
import assert from 'node:assert/strict'
import type { Prompts } from '../../lib/hosts/ssh/types.ts'

export class Answers implements Prompts {
  readonly asked: string[] = []
  private readonly left: (string | boolean | Error)[]

  /** Text for a secret, true or false for a confirmation, an error for who gives up. */
  constructor(...answers: (string | boolean | Error)[]) {
    this.left = answers
  }

  secret = async (question: string): Promise<string> => this.answer(question, 'string') as string

  confirm = async (question: string, details: readonly string[]): Promise<boolean> =>
    this.answer([...details, question].join('\n'), 'boolean') as boolean

  private answer(question: string, type: string): unknown {
    this.asked.push(question)
    const next = this.left.shift()
    if (next instanceof Error) throw next
    assert.equal(typeof next, type, `asked: ${question}`)
    return next
  }
}
