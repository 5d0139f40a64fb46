/** Runs one build stage without the engine: a context with folders of its own, real programs, and a record of notes. */
import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runner } from '../../lib/engine/process.ts'
import type { BuildContext, Digest, FileDigest, Input, Memo, Realised } from '../../lib/engine/stage.ts'
import { removeTree } from '../../lib/engine/store/remove.ts'

/** What a stage told its context. */
export interface ContextRecord {
  readonly notes: string[]
  readonly warnings: string[]
  readonly log: string[]
  readonly progress: { done: number; total: number | undefined; unit: 'bytes' | 'files' }[]
  readonly declared: Map<string, FileDigest>
}

export interface TestContext<O> extends BuildContext<O> {
  readonly record: ContextRecord
  /** Removes the context's folders. For `after` or `finally`. */
  remove(): Promise<void>
}

/** An input as the engine would give it: a folder, and a digest that means nothing. */
export function fakeInput(path: string, digest = '0'.repeat(64)): Input {
  return { path, digest: digest as Digest }
}

/** A memo that others can be given as well, as later runs over the same store see what earlier ones kept. */
export function memoryMemo(): Memo & { readonly entries: Map<string, Buffer> } {
  const entries = new Map<string, Buffer>()
  return {
    entries,
    get: async (key) => entries.get(key),
    put: async (key, bytes) => void entries.set(key, Buffer.from(bytes)),
  }
}

/** `carry` with its folders below `folder`, which is made: give it to several contexts to have them follow each other. */
export function carryIn(folder: string): BuildContext<unknown>['carry'] {
  return async (name, use) => {
    const carried = join(folder, name)
    await mkdir(carried, { recursive: true })
    try {
      return await use(carried)
    } catch (error) {
      await removeTree(carried)
      throw error
    }
  }
}

/** Makes a context whose `out` and `tmp` are new folders below os.tmpdir(). `options` holds inputs, not derivations. */
export async function buildContext<O>(
  options: Realised<O>,
  overrides: Partial<BuildContext<O>> = {},
): Promise<TestContext<O>> {
  const root = await mkdtemp(join(tmpdir(), 'fleetsie-context-'))
  const out = join(root, 'out')
  const tmp = join(root, 'tmp')
  await Promise.all([mkdir(out), mkdir(tmp)])
  const record: ContextRecord = { notes: [], warnings: [], log: [], progress: [], declared: new Map() }
  const signal = overrides.signal ?? new AbortController().signal
  return {
    options,
    sources: [],
    tmp,
    out,
    signal,
    jobs: 2,
    epoch: undefined,
    run: runner({ home: overrides.tmp ?? tmp, signal, log: (text) => record.log.push(text) }),
    log: (line) => record.log.push(line),
    note: (line) => record.notes.push(line),
    warn: (line) => record.warnings.push(line),
    progress: (done, total, unit) => record.progress.push({ done, total, unit }),
    declare: (name, digest) => record.declared.set(name, digest),
    carry: carryIn(join(root, 'carried')),
    memo: memoryMemo(),
    ...overrides,
    record,
    remove: () => removeTree(root),
  }
}
