/** server-bundle: what the server of fleets runs, with nothing secret in it. */
import { join } from 'node:path'
import * as v from 'valibot'
import { type Derivation, input, type Source, stage } from '../lib/engine/stage.ts'
import { FleetsieError } from '../lib/errors.ts'
import { type Architecture, architectures } from '../lib/fleet/bundle/listing.ts'
import { programModules, serverUnits } from '../lib/fleet/bundle/programs.ts'
import { unitFile } from '../lib/images/os/units.ts'
import { fetch } from './fetch.ts'

/** The packages as npm has them; the sums are of the registry's files. */
const registry = 'https://registry.npmjs.org'
const nodeVersion = '24.21.0'
const nodeSums: Record<Architecture, string> = {
  x64: '61ecf27ad70afee991b671c28561eb497028294a67d132f9bbaac9ad73f81d3b',
  arm64: 'fba3076c16d21e5d814577436bdcb782b9b66bed09c6fa8278298e8933288bbb',
}
/** From version 13 on, its package holds binaries: a server needs no compiler. */
const sqliteVersion = '13.2.0'
const sqliteSum = '40487589df3496f2ee0079d22b73c63fccebe7db0e8ee9a2c42421861e321e0b'
/** What `fetch` calls them. */
const nodeFile = 'node.tgz'
const sqliteFile = 'better-sqlite3.tgz'

const listed = architectures.map((one) => `'${one}'`).join(' or ')

const bundle = stage({
  kind: 'build',
  name: 'server-bundle',
  module: import.meta.url,
  bundled: programModules,
  summary: 'Makes the closure that the server of fleets runs: Node, better-sqlite3 and our programs.',
  description: `
From two packages of npm to \`closure.tar\`, a tree that needs nothing of the server but glibc: \`bin/node\` (Node ${nodeVersion}),
better-sqlite3 (${sqliteVersion}, with the binary for that architecture alone), \`fleetsie_gen_srv\` and \`fleetsie_auth\`, each of them
one file, \`fleetsie_login\` and \`fleetsie_root\`. All of it is root's and read-only. \`closure.json\` lists the files with their
sha256, and holds the sha256 of \`closure.tar\`, by which the server's folder is called. The server's stage puts it there.

\`serverBundle()\` is three stages: \`fetch\` gets both packages, by sums that this version of fleetsie knows.

Limits: x64 and arm64 with glibc; nothing is compiled for others.
`,
  example: "serverBundle({ architecture: 'x64' })",
  options: v.strictObject({
    architecture: v.pipe(
      v.optional(v.picklist(architectures), 'x64'),
      v.description(`Of the server: ${listed}.`),
    ),
    node: v.pipe(input(), v.description('The package node-linux-ARCHITECTURE: a result of `fetch`.')),
    sqlite: v.pipe(input(), v.description('The package better-sqlite3: a result of `fetch`.')),
  }),
  async sources(_options, host) {
    return Promise.all(
      serverUnits.map(async (name): Promise<Source> => {
        const from = unitFile(name)
        return { path: `units/${name}`, type: 'file', mode: 0o555, sha256: await host.sha256(from), from }
      }),
    )
  },
  async run(context) {
    const { writeClosure } = await import('../lib/fleet/bundle/closure.ts')
    const { architecture, node, sqlite } = context.options
    await writeClosure(context, {
      architecture,
      node: join(node.path, nodeFile),
      sqlite: join(sqlite.path, sqliteFile),
      unit: unitFile,
    })
  },
})

/** What a server of this architecture runs. */
export const serverBundle: ((options?: { architecture?: Architecture }) => Derivation) & {
  stage: typeof bundle.stage
} = Object.assign(
  ({ architecture = 'x64' }: { architecture?: Architecture } = {}) => {
    if (!architectures.includes(architecture)) {
      throw new FleetsieError('E_OPTION', `server-bundle: there is no Node for ${architecture}`, {
        hint: `\`architecture\` takes ${listed}`,
      })
    }
    const node = `${registry}/node-linux-${architecture}/-/node-linux-${architecture}-${nodeVersion}.tgz`
    return bundle({
      architecture,
      node: fetch({ url: node, sha256: nodeSums[architecture], name: nodeFile }),
      sqlite: fetch({
        url: `${registry}/better-sqlite3/-/better-sqlite3-${sqliteVersion}.tgz`,
        sha256: sqliteSum,
        name: sqliteFile,
      }),
    })
  },
  { stage: bundle.stage },
)
