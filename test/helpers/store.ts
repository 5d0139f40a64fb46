/** A store in a folder of its own, and outputs to put in. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import type { BuildEvent } from '../../lib/engine/events.ts'
import type { Digest, FileDigest, Key } from '../../lib/engine/stage.ts'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { Store } from '../../lib/engine/store/store.ts'
import type { StoredObject, StoreOptions } from '../../lib/engine/store/types.ts'

const ends = new WeakMap<TestContext, (() => Promise<void>)[]>()

/** Like t.after, but last in, first out: a store is closed before its folder goes. */
export function atEnd(t: TestContext, work: () => Promise<void>): void {
  let stack = ends.get(t)
  if (!stack) {
    stack = []
    ends.set(t, stack)
    t.after(async () => {
      for (let next = stack?.pop(); next; next = stack?.pop()) await next()
    })
  }
  stack.push(work)
}

/** A folder that is removed after the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-test-'))
  atEnd(t, () => removeTree(folder))
  return folder
}

/** An open store, closed after the test; it takes any disk for roomy. */
export async function openStore(
  t: TestContext,
  folder = join(temporaryFolder(t), 'store'),
  options: StoreOptions = {},
): Promise<{ store: Store; events: BuildEvent[] }> {
  const events: BuildEvent[] = []
  const store = await Store.open(folder, { minFree: 0, emit: (event) => events.push(event), ...options })
  atEnd(t, () => store.close())
  return { store, events }
}

export function keyOf(text: string): Key {
  return createHash('sha256').update(text).digest('hex') as Key
}

export interface Output {
  /** Content by path. */
  files: Record<string, string | Buffer>
  name?: string
  manifest?: Record<string, string>
  declared?: Map<string, FileDigest>
  inputs?: Digest[]
}

/** Publishes files under the key of `label`. */
export async function publish(store: Store, label: string, output: Output): Promise<StoredObject> {
  const workspace = await store.workspace()
  try {
    for (const [path, content] of Object.entries(output.files)) {
      mkdirSync(dirname(join(workspace.out, path)), { recursive: true })
      writeFileSync(join(workspace.out, path), content)
    }
    writeFileSync(workspace.log, `log of ${label}\n`)
    return await store.publish({
      workspace,
      key: keyOf(label),
      definitionKey: keyOf(`definition of ${label}`),
      name: output.name ?? 'overlay',
      manifest: output.manifest ?? { label },
      declared: output.declared ?? new Map(),
      inputs: output.inputs ?? [],
      ms: 12.4,
    })
  } finally {
    await store.discard(workspace)
  }
}
