import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, chown, cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { BuildOptions } from '../../../lib/engine/build-options.ts'
import { predictions } from '../../../lib/engine/predict.ts'
import type { Derivation } from '../../../lib/engine/stage.ts'
import { type Rig, rig } from '../../helpers/engine.ts'
import { needsRoot } from '../../helpers/needs.ts'
import { checkout } from '../../helpers/npm-project.ts'
import { type Scratch, scratchCheckout } from '../../helpers/scratch.ts'

async function keyAndManifest(r: Rig, root: Derivation, options: Partial<BuildOptions> = {}) {
  const all = await predictions(r.newBuild([], options), 't', root)
  const { key, manifest } = all.at(-1)!
  return { key: key!, manifest }
}

describe('the key changes with', () => {
  const changes: [title: string, options: Partial<BuildOptions>, field: string][] = [
    ['SOURCE_DATE_EPOCH', { epoch: 1_700_000_000 }, 'SOURCE_DATE_EPOCH'],
    ['FLEETSIE_CACHE_EPOCH', { cacheEpoch: '2' }, 'cacheEpoch'],
  ]
  for (const [title, options, field] of changes) {
    test(title, async (t) => {
      const r = await rig(t)
      const a = r.stage('a')
      const [before, after] = [await keyAndManifest(r, a()), await keyAndManifest(r, a(), options)]
      assert.notEqual(before.key, after.key)
      const fields = Object.keys(after.manifest).filter((name) => !(name in before.manifest))
      assert.deepEqual(fields, [field])
    })
  }

  test('FLEETSIE_CACHE_EPOCH also where the output is fixed, SOURCE_DATE_EPOCH not', async (t) => {
    const r = await rig(t)
    const a = r.stage('a', { fixed: 'sha256 x' })
    const { key } = await keyAndManifest(r, a())
    assert.notEqual((await keyAndManifest(r, a(), { cacheEpoch: '2' })).key, key)
    assert.equal((await keyAndManifest(r, a(), { epoch: 5 })).key, key)
  })

  const edits: [title: string, edit: (r: Rig) => void, same: boolean][] = [
    ['the stage itself', (r) => r.write('stages/own.ts', `import './near.ts'\n// edited`), false],
    ['what it imports', (r) => r.write('stages/near.ts', `export * from '../far.ts'\n// edited`), false],
    ['what that re-exports', (r) => r.write('far.ts', 'export const far = 2'), false],
    ['a type only import, which does not count', (r) => r.write('types.ts', 'export type T = 2'), true],
    ['a file that it does not import, which does not count', (r) => r.write('other.ts', '2'), true],
  ]
  for (const [title, edit, same] of edits) {
    test(`the code: ${title}`, async (t) => {
      const r = await rig(t)
      r.write('stages/own.ts', `import './near.ts'\nimport type { T } from '../types.ts'\n`)
      r.write('stages/near.ts', `export * from '../far.ts'`)
      r.write('far.ts', 'export const far = 1')
      r.write('types.ts', 'export type T = 1')
      r.write('other.ts', '1')
      const a = r.stage('a', { module: 'stages/own.ts' })
      const before = await keyAndManifest(r, a())
      const code = Object.keys(before.manifest).filter((name) => name.startsWith('code.'))
      assert.deepEqual(code.sort(), [
        'code.project:far.ts',
        'code.project:stages/near.ts',
        'code.project:stages/own.ts',
      ])
      edit(r)
      assert.equal((await keyAndManifest(r, a())).key === before.key, same)
    })
  }

  test('the code of a program that it bundles', async (t) => {
    const r = await rig(t)
    r.write('own.ts', '')
    r.write('program.ts', `import './part.ts'`)
    r.write('part.ts', '1')
    const a = r.stage('a', { module: 'own.ts', bundled: ['program.ts'] })
    const before = await keyAndManifest(r, a())
    r.write('part.ts', '2')
    assert.notEqual((await keyAndManifest(r, a())).key, before.key)
  })

  test('code that is missing or lies outside of the project, which is an error that names it', async (t) => {
    const r = await rig(t)
    r.write('own.ts', `import './missing.ts'`)
    const { error } = await r.build(r.stage('a', { module: 'own.ts' })())
    assert.equal(error?.code, 'E_INPUT')
    assert.match(`${error.file} ${error.message}`, /own\.ts imports ".\/missing\.ts", which does not exist/)
    r.write('own.ts', `import '../outside.ts'`)
    r.write('../outside.ts', '')
    const outside = (await r.build(r.stage('a', { module: 'own.ts' })())).error
    assert.equal(outside?.code, 'E_INPUT')
    assert.match(
      `${outside.file} ${outside.message}`,
      /outside\.ts the stage's code lies outside of the project/,
    )
  })
})

test('no folder, time or user of this machine is in a manifest', async (t) => {
  const r = await rig(t)
  r.write('deep/file', 'x')
  const root = r.stage('a', { tools: ['sh'] })({ file: 'deep/file', from: [r.stage('b')()] })
  await r.build(root)
  const { manifest } = await keyAndManifest(r, root)
  const text = JSON.stringify(manifest)
  for (const mark of [
    r.cwd,
    '/tmp',
    process.env['HOME']!,
    process.cwd(),
    '/usr/bin',
    String(new Date().getFullYear()),
  ]) {
    assert.ok(!text.includes(mark), `${mark} is in ${text}`)
  }
  assert.match(manifest['tool.sh']!, /^\S+ [0-9a-f]{64}$/)
  assert.equal(manifest['platform'], `linux-${process.arch}`)
})

describe('the keys of the sample do not depend on', () => {
  const keysProcess = 'test/helpers/keys-process.ts'
  const loader = import.meta.resolve('tsx')
  let scratch: Scratch
  before(async () => {
    scratch = await scratchCheckout()
    await chmod(scratch.folder, 0o755)
    await cp(join(checkout, keysProcess), join(scratch.project, keysProcess))
  })
  after(() => scratch?.remove())

  interface How {
    env?: Record<string, string>
    by?: string[]
    cwd?: string
    /** Whose the folder of the store is. */
    uid?: number
  }

  /** The definition keys of the sample, computed by another process with a store of its own. */
  async function keys(name: string, { env = {}, by = [], cwd = scratch.project, uid = 0 }: How = {}) {
    const folder = join(scratch.folder, name)
    await mkdir(folder)
    if (uid !== 0) await chown(folder, uid, uid)
    const script = join(scratch.project, keysProcess)
    const node = [process.execPath, '--import', loader, script, scratch.project, folder]
    const [command = '', ...args] = [...by, ...node]
    const { stdout } = await promisify(execFile)(command, args, {
      cwd,
      env: { PATH: process.env['PATH']!, HOME: folder, ...env },
    })
    return JSON.parse(stdout) as Record<string, string>
  }

  const surroundings: [title: string, how: How, skip?: string | false][] = [
    ['the folder that a build is called from', { cwd: '/' }],
    ['umask', { by: ['sh', '-c', 'umask 077; exec "$@"', 'sh'] }],
    ['time zone and locale', { env: { TZ: 'Asia/Tokyo', LANG: 'de_DE.UTF-8', LC_ALL: 'tr_TR.UTF-8' } }],
    ['variables that nobody asked for', { env: { USER: 'somebody', FOO: 'bar', NODE_ENV: 'production' } }],
    [
      'the user',
      { by: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'], uid: 65534 },
      needsRoot,
    ],
  ]
  test('their surroundings', async (t) => {
    const expected = await keys('expected')
    assert.deepEqual(Object.keys(expected), ['fetch', 'decompress', 'overlay', 'install', 'mount', 'save'])
    for (const [title, how, skip = false] of surroundings) {
      await t.test(title, { skip }, async () => assert.deepEqual(await keys(title, how), expected))
    }
  })
})
