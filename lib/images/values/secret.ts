/** A value that no log, error or JSON shows by accident. */
import { inspect } from 'node:util'

export class Secret {
  readonly #bytes: Buffer

  constructor(value: string | Buffer) {
    this.#bytes = Buffer.from(value)
  }

  /** The bytes themselves: for the card and for stdin of a program only. */
  reveal(): Buffer {
    return this.#bytes
  }

  toString(): string {
    return '(not shown)'
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }
}
