import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { codeDigests } from '../../../lib/engine/code-digest.ts'
import { type Rig, rig } from '../../helpers/engine.ts'

/** Digests of a stage that imports this. */
function digests(r: Rig, module: string, specifier: string): Record<string, string> {
  r.write(module, `import ${JSON.stringify(specifier)}\n`)
  const all = codeDigests(pathToFileURL(join(r.cwd, module)).href, r.cwd)
  return Object.fromEntries(Object.entries(all).filter(([name]) => name !== `code.project:${module}`))
}

describe('an import is followed', () => {
  test('by an absolute path and by a file: URL', async (t) => {
    const r = await rig(t)
    r.write('far.ts', '1')
    const path = join(r.cwd, 'far.ts')
    assert.deepEqual(Object.keys(digests(r, 'a.ts', path)), ['code.project:far.ts'])
    assert.deepEqual(Object.keys(digests(r, 'b.ts', pathToFileURL(path).href)), ['code.project:far.ts'])
  })

  test('by a #name of package.json, to a file or a package', async (t) => {
    const r = await rig(t)
    r.write('package.json', '{ "imports": { "#far": "./deep/far.ts", "#p": "other" } }')
    r.write('node_modules/other/package.json', '{ "version": "1.2.3" }')
    r.write('deep/far.ts', '1')
    assert.deepEqual(Object.keys(digests(r, 'stages/a.ts', '#far')), ['code.project:deep/far.ts'])
    assert.deepEqual(digests(r, 'b.ts', '#p'), { 'package.other': '1.2.3' })
  })

  test('but a #name with conditions or of no package.json is refused with a remedy', async (t) => {
    const r = await rig(t)
    r.write('package.json', '{ "imports": { "#far": { "node": "./far.ts" } } }')
    for (const name of ['#far', '#none']) {
      assert.throws(
        () => digests(r, 'a.ts', name),
        (error: { code: string; file: string; hint: string }) => {
          assert.deepEqual([error.code, error.file], ['E_INPUT', join(r.cwd, 'a.ts')])
          assert.match(error.hint, /"imports" in package\.json/)
          return true
        },
      )
    }
  })
})

test('a linked package counts by its sources, one that was installed by its version', async (t) => {
  const r = await rig(t)
  const sources = (text: string): void => {
    r.write('packages/mine/package.json', '{ "name": "mine", "version": "1.0.0" }')
    r.write('packages/mine/lib/deep.ts', text)
  }
  sources('1')
  mkdirSync(join(r.cwd, 'node_modules'))
  symlinkSync('../packages/mine', join(r.cwd, 'node_modules/mine'))
  const before = digests(r, 'a.ts', 'mine/lib/deep.ts')
  assert.match(before['package.mine']!, /^1\.0\.0 [0-9a-f]{64}$/)
  r.write('packages/mine/node_modules/x/index.js', 'not its own')
  assert.deepEqual(digests(r, 'b.ts', 'mine'), before)
  sources('2')
  assert.notDeepEqual(digests(r, 'c.ts', 'mine'), before)
  r.write('node_modules/installed/package.json', '{ "version": "2.0.0" }')
  assert.deepEqual(digests(r, 'd.ts', 'installed'), { 'package.installed': '2.0.0' })
})
