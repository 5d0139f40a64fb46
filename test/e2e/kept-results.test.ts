/** What `save` keeps from build to build, when a build is killed while it writes it, or a bit of it flips. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { tracePoints } from '../../lib/engine/trace.ts'
import { assertWhole, project } from '../helpers/background-builds.ts'
import type { Scratch } from '../helpers/scratch.ts'

describe('what save keeps between builds', () => {
  /** A project that was built twice, so that all that is kept is there, and a third edit that waits. */
  const warm = async (t: TestContext): Promise<Scratch> => {
    const scratch = await project(t)
    for (const text of ['one', 'two']) {
      await scratch.write('overlays/part_2/etc/motd', text)
      const { code, stderr } = await scratch.run(['build'])
      assert.equal(code, 0, stderr)
    }
    await scratch.write('overlays/part_2/etc/motd', 'three')
    return scratch
  }

  test('is thrown away where a build is killed in it: the next one gives what a build from nothing gives', {
    timeout: 600_000,
  }, async (t) => {
    const scratch = await warm(t)
    for (const point of tracePoints.filter((name) => /^(carry|memo)\./.test(name))) {
      await scratch.write('overlays/part_2/etc/motd', point.repeat(10))
      const killed = await scratch.run(['build'], { env: { FLEETSIE_TRACE_KILL: point } })
      assert.equal(killed.code, null, `it did not come to ${point}`)
      // Compares with a run that is given nothing of what was kept.
      const { code, stderr } = await scratch.run(['build', '--check'])
      assert.equal(code, 0, `${point}: ${stderr}`)
      await assertWhole(scratch)
    }
  })

  test('is dropped where a byte of it was flipped, which is said', { timeout: 240_000 }, async (t) => {
    const scratch = await warm(t)
    const memo = join(scratch.store, 'memo')
    const files = readdirSync(memo).flatMap((name) =>
      readdirSync(join(memo, name)).map((id) => join(memo, name, id)),
    )
    assert.ok(files.length > 0)
    for (const file of files) {
      const bytes = readFileSync(file)
      bytes[bytes.length - 1]! ^= 1
      writeFileSync(file, bytes)
    }
    const verified = await scratch.run(['store', 'verify'])
    assert.equal(verified.code, 6)
    assert.ok(verified.stdout.includes(`${files[0]}: has another content`), verified.stdout)
    const { code, stderr } = await scratch.run(['build', '--check'])
    assert.equal(code, 0, stderr)
    assert.match(stderr, /warning: a result kept in \S+ was damaged; it is dropped and made again/)
    assert.equal((await scratch.run(['store', 'verify', '--repair'])).code, 0)
    await assertWhole(scratch)
  })
})
