/** Closures of small packages: the same parts give the same bytes, and a package that lacks something gives none. */
import assert from 'node:assert/strict'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { writeClosure } from '../../../../lib/fleet/bundle/closure.ts'
import { readClosure } from '../../../../lib/fleet/bundle/listing.ts'
import { unitFile } from '../../../../lib/images/os/units.ts'
import { buildContext } from '../../../helpers/context.ts'
import { tool } from '../../../helpers/disks.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-closure-'))
after(() => rmSync(folder, { recursive: true }))
let made = 0

/** A .tgz as npm makes them; `null` is a link. */
function npmPackage(files: Record<string, string | null>): string {
  const root = join(folder, `${made++}`)
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, 'package', name)
    mkdirSync(dirname(path), { recursive: true })
    if (text === null) symlinkSync('/etc/passwd', path)
    else writeFileSync(path, text)
  }
  tool('tar', ['-C', root, '-czf', `${root}.tgz`, 'package'])
  return `${root}.tgz`
}

const node = {
  'bin/node': 'a program',
  LICENSE: 'free',
  'include/node.h': 'left out',
  'share/bin/node': 'no',
}
const sqlite = {
  'package.json': '{}',
  'lib/index.js': 'module.exports = [require("./methods/table"), require("../prebuilds/linux-x64.node")]',
  'lib/methods/table.js': 'module.exports = "more"',
  'src/addon.cpp': 'left out',
  'prebuilds/linux-x64.node': 'x64',
  'prebuilds/linux-arm64.node': 'arm64',
}

async function close(nodeFile: string, sqliteFile: string): Promise<{ tar: Buffer; paths: string[] }> {
  const context = await buildContext({})
  try {
    await writeClosure(context, { architecture: 'arm64', node: nodeFile, sqlite: sqliteFile, unit: unitFile })
    const { files } = await readClosure(context.out)
    return { tar: readFileSync(join(context.out, 'closure.tar')), paths: files.map(({ path }) => path) }
  } finally {
    await context.remove()
  }
}

test('a closure holds the programs, one binary and what they need, in the same bytes each time', async () => {
  const first = await close(npmPackage(node), npmPackage(sqlite))
  assert.deepEqual(first.paths, [
    'bin/LICENSE',
    'bin/node',
    'fleetsie_auth',
    'fleetsie_auth.cjs',
    'fleetsie_gate.sh',
    'fleetsie_gen_srv',
    'fleetsie_gen_srv.cjs',
    'fleetsie_login',
    'fleetsie_root',
    'node_modules/better-sqlite3/build/Release/better_sqlite3.node',
    'node_modules/better-sqlite3/lib/index.js',
    'node_modules/better-sqlite3/package.json',
  ])
  const second = await close(npmPackage(node), npmPackage(sqlite))
  assert.ok(first.tar.equals(second.tar))
})

const { 'prebuilds/linux-arm64.node': _, ...withoutBinary } = sqlite
const refused: [title: string, make: () => [string, string], message: RegExp][] = [
  ['no Node in it', () => [npmPackage({ LICENSE: '' }), npmPackage(sqlite)], /lacks bin\/node/],
  [
    'no binary for the architecture',
    () => [npmPackage(node), npmPackage(withoutBinary)],
    /lacks prebuilds\/linux-arm64\.node/,
  ],
  [
    'JavaScript that does not fit together',
    () => [npmPackage(node), npmPackage({ ...sqlite, 'lib/index.js': 'require("./gone")' })],
    /does not fit together/,
  ],
  [
    'a link where a file has to be',
    () => [npmPackage({ ...node, 'bin/node': null }), npmPackage(sqlite)],
    /bin\/node is no plain file/,
  ],
  [
    'its end missing',
    () => {
      const cut = npmPackage(node)
      truncateSync(cut, 100)
      return [cut, npmPackage(sqlite)]
    },
    /this is no whole \.tgz/,
  ],
  [
    'something else in it than a package',
    () => {
      const text = join(folder, 'text')
      writeFileSync(text, 'no archive at all')
      return [text, npmPackage(sqlite)]
    },
    /this is no whole \.tgz/,
  ],
]
for (const [title, make, message] of refused) {
  test(`a package with ${title} is refused as damaged`, async () => {
    await assert.rejects(() => close(...make()), { code: 'E_DAMAGED', message })
  })
}
