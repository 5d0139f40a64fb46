/** One target from its root down: builds it and, if its last stage is a deploy stage, applies that. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Build } from './build.ts'
import { deploy } from './deploy.ts'
import type { Artifact } from './events.ts'
import { nodesOf } from './nodes.ts'
import type { Derivation } from './stage.ts'
import type { Store } from './store/store.ts'

/**
 * Makes a target's artifacts and answers which they are. Several targets of one build may run at once. `end` is where to
 * stop, one of the target's derivations; what a complete build left is kept from gc all the same.
 */
export async function buildTarget(
  build: Build,
  name: string,
  root: Derivation,
  end = root,
): Promise<Artifact[]> {
  const nodes = nodesOf(name, root)
  const { store, cwd } = build.options
  try {
    if (end.stage.kind === 'deploy') return await deploy(build, nodes, end)
    const object = await build.realise(nodes, end)
    if (end === root) store.setRoot(build.targetId(name), [object.digest], cwd)
    return await listArtifacts(store, object.path)
  } finally {
    build.end(name, nodes)
  }
}

/** The files of a target that ends in a build stage: they stay in the store. */
async function listArtifacts(store: Store, folder: string): Promise<Artifact[]> {
  const names = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile())
  const paths = names.map((entry) => join(folder, entry.name)).sort()
  return Promise.all(paths.map(async (path) => ({ path, sha256: await store.sha256(path), kind: 'file' })))
}
