/**
 * This process's name in the store. While it lives, it holds the lock of leases/NAME.db; whoever gets that lock
 * knows that the process is dead, and that its leases and stage folders belong to nobody.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type FileLock, tryFileLock } from './file-lock.ts'
import type { Layout } from './layout.ts'
import type { Sqlite } from './sqlite.ts'

const suffix = '.db'

export class Presence {
  #id = newName()
  readonly #sqlite: Sqlite
  readonly #layout: Layout
  #lock: FileLock | undefined
  #folders = 0

  constructor(sqlite: Sqlite, layout: Layout) {
    this.#sqlite = sqlite
    this.#layout = layout
  }

  /** Fixed once `ensure` was called. */
  get id(): string {
    return this.#id
  }

  /** Must precede every row and folder under this name: without the lock they count as a dead process's. */
  ensure(): void {
    if (this.#lock) return
    for (;;) {
      this.#lock = tryFileLock(this.#sqlite, this.#layout, leaseFile(this.#layout, this.#id))
      if (this.#lock) return
      // A sweep met the file before we could lock it, and takes that name for a dead process's.
      this.#id = newName()
    }
  }

  /** A name below stage/ that nobody else uses. */
  stageFolder(): string {
    this.ensure()
    this.#folders += 1
    return join(this.#layout.stage, `${this.id}-${this.#folders}`)
  }

  end(): void {
    this.#lock?.release()
    this.#lock = undefined
  }
}

export function leaseFile(layout: Layout, process: string): string {
  return join(layout.leases, process + suffix)
}

/** The process that a lease file or a stage folder is named after. */
export function ownerOf(name: string): string | undefined {
  return /^([0-9]+-[0-9a-f]{8})(\.db|-[0-9]+)$/.exec(name)?.[1]
}

function newName(): string {
  return `${process.pid}-${randomBytes(4).toString('hex')}`
}
