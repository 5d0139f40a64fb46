/** What a build stage may keep from one run to the next, and what it is given when it must not see any of that. */
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../errors.ts'
import type { BuildOptions } from './build-options.ts'
import { canonicalJson, sha256Hex } from './canonical.ts'
import type { Manifest } from './manifest.ts'
import type { Node } from './nodes.ts'
import type { BuildContext } from './stage.ts'

export type Kept = Pick<BuildContext<unknown>, 'carry' | 'memo'>

/** Carried folders and memo of the store. A carried folder belongs to the stage's code and programs in `manifest`. */
export async function keptInStore(build: BuildOptions, node: Node, manifest: Manifest): Promise<Kept> {
  const { store, emit, signal, cacheEpoch = '' } = build
  const { target, name: stage } = node
  const memo = await store.memo()
  // A stage may have any name, this becomes that of a folder; scopeOf tells apart what looks alike here.
  const readable = node.derivation.stage.name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64)
  const scope = `${readable}-${scopeOf(manifest)}`
  const onWait = (holder: string): void =>
    emit({ type: 'waiting', target, stage, message: `waiting for ${holder}` })
  return {
    carry: (name, use) => {
      checkName(name)
      return store.carry(`${scope}-${name}`, { stage, onWait, signal }, use)
    },
    memo: {
      get: (key) => memo.get(`${cacheEpoch}\0${key}`),
      put: (key, bytes) => memo.put(`${cacheEpoch}\0${key}`, bytes),
    },
  }
}

/** Empty, and as short-lived as `folder`. */
export function nothingKept(folder: string): Kept {
  return {
    carry: async (name, use) => {
      checkName(name)
      return use(await mkdtemp(join(folder, 'carried-')))
    },
    memo: { get: async () => undefined, put: async () => {} },
  }
}

function checkName(name: string): void {
  if (/^[a-z0-9-]{1,64}$/.test(name)) return
  throw new FleetsieError('E_STAGE', `a carried folder cannot be called ${JSON.stringify(name)}`, {
    hint: 'its name is up to 64 of a-z, 0-9 and -',
  })
}

/** What of a key decides how a stage works, but not what it works on. */
function scopeOf(manifest: Manifest): string {
  const how = Object.entries(manifest).filter(([name]) =>
    /^((code|package|tool)\..*|stage|platform|cacheEpoch)$/s.test(name),
  )
  return sha256Hex(canonicalJson(Object.fromEntries(how))).slice(0, 16)
}
