/** Prints the definition key of each build stage of the sample: node --import tsx keys-process.ts CHECKOUT FOLDER */
import { join } from 'node:path'
import { Build } from '../../lib/engine/build.ts'
import { topological } from '../../lib/engine/graph.ts'
import { nodesOf } from '../../lib/engine/nodes.ts'
import { Store } from '../../lib/engine/store/store.ts'
import { decompress, fetch, install, mount, overlay, save } from '../../stages/index.ts'

const [cwd = '', folder = ''] = process.argv.slice(2)
const stock = fetch({ file: 'fixtures/sample.img.xz' })
const image = decompress({ from: stock })
const layers = [overlay({ from: 'overlays' }), install({ image, os: 'Debian' })]
const root = save({ stock, image, table: mount({ image }), layers, name: 'sample' })

const store = await Store.open(join(folder, 'store'), { minFree: 0 })
const build = new Build({ store, emit: () => {}, cwd, signal: new AbortController().signal })
const nodes = nodesOf('sample', root)
const keys: Record<string, string> = {}
for (const derivation of topological(root)) {
  await build.factsOf(nodes, derivation)
  keys[nodes.get(derivation)!.name] = await build.definitionKey(derivation)
}
process.stdout.write(JSON.stringify(keys))
await store.close()
