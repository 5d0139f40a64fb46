/** Builds into a store or an out/ that is full, read-only, or somebody else's: exit code 8, and success once that is mended. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { chmod, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { artifacts, assertWhole, project } from '../helpers/background-builds.ts'
import { needsRoot } from '../helpers/needs.ts'
import type { Finished } from '../helpers/scratch.ts'
import { atEnd } from '../helpers/store.ts'

describe('no room', { skip: needsRoot }, () => {
  const mounted = (t: TestContext, folder: string, size: string): void => {
    mkdirSync(folder, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'fleetsie-test', folder])
    atEnd(t, async () => void execFileSync('umount', [folder]))
  }
  const refused = (ended: Finished, where: string): void => {
    assert.equal(ended.code, 8, ended.stderr)
    assert.ok(ended.stderr.includes(where), ended.stderr)
    assert.match(ended.stderr, /^error: /m)
    assert.doesNotMatch(ended.stderr, /^ {4}at /m)
  }

  for (const size of ['400k', '1200k', '3m', '5m']) {
    test(`a store of ${size}: exit code 8, a whole store, and success after it has grown`, {
      timeout: 240_000,
    }, async (t) => {
      const scratch = await project(t)
      mounted(t, scratch.store, size)
      refused(await scratch.run(['build']), scratch.store)
      assert.ok(!existsSync(join(scratch.project, 'out')))
      execFileSync('mount', ['-o', 'remount,size=400m', scratch.store])
      await assertWhole(scratch)
      const { code, stderr } = await scratch.run(['build'])
      assert.equal(code, 0, stderr)
    })
  }

  test('a read-only store: exit code 8, whether root or not may write elsewhere', async (t) => {
    const scratch = await project(t)
    mounted(t, scratch.store, '100m')
    assert.equal((await scratch.run(['build', 'layer'])).code, 0)
    execFileSync('mount', ['-o', 'remount,ro', scratch.store])
    refused(await scratch.run(['build', 'layer']), scratch.store)
    execFileSync('mount', ['-o', 'remount,rw', scratch.store])
    await assertWhole(scratch)
  })

  test("somebody else's store: exit code 8", async (t) => {
    const scratch = await project(t)
    assert.equal((await scratch.run(['build', 'layer'])).code, 0)
    await chmod(scratch.folder, 0o755)
    const by = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    refused(await scratch.run(['build', 'layer'], { by, env: { HOME: scratch.folder } }), scratch.store)
    await assertWhole(scratch)
  })

  test('in out/: exit code 8, nothing half-written, and the build is not lost', {
    timeout: 240_000,
  }, async (t) => {
    const scratch = await project(t)
    const out = join(scratch.project, 'out')
    mounted(t, out, '600k')
    refused(await scratch.run(['build']), out)
    const left = await readdir(out)
    assert.ok(!left.includes('sample_fleetsie.img.xz'), left.join(' '))
    assert.deepEqual(
      left.filter((name) => !name.startsWith('sample_fleetsie.') && name !== 'ca.crt'),
      [],
    )
    execFileSync('mount', ['-o', 'remount,size=10m', out])
    const { code, stages } = await scratch.run(['build', '--json'])
    assert.equal(code, 0)
    assert.ok(stages.has('save cached') && stages.has('sign applied'))
    assert.equal((await readdir(out)).length, artifacts)
  })
})
