/** The two commands of the README in a clone that holds nothing but what git has. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { checkout, type Ended, events, program, shellEnvironment, succeeds } from '../helpers/npm-project.ts'

describe('a fresh clone', () => {
  let folder: string
  let clone: string
  let env: NodeJS.ProcessEnv
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fleetsie-clone-'))
    clone = join(folder, 'a clone')
    env = shellEnvironment({ FLEETSIE_STORE: join(folder, 'store'), XDG_CONFIG_HOME: join(folder, 'config') })
    await succeeds('git', ['clone', '-q', '--no-local', checkout, clone], { cwd: folder })
  })
  after(async () => {
    // Objects of the store are read-only.
    await program('chmod', ['-R', 'u+w', folder], { cwd: tmpdir() })
    await rm(folder, { recursive: true, force: true })
  })

  const run = (command: string, ...args: string[]): Promise<Ended> =>
    succeeds(command, args, { cwd: clone, env })

  test('npm start installs what is missing and builds the sample, signed', async () => {
    const { stdout } = await run('npm', 'start')
    assert.match(stdout, /installing the npm packages/)
    assert.match(stdout, /compiling better-sqlite3 .* takes about a minute/s)
    assert.match(stdout, /does not boot|need not boot|cannot boot/)
    await run('xz', '-t', 'out/sample_fleetsie.img.xz')
    await run(
      'openssl',
      ...['cms', '-verify', '-binary', '-inform', 'DER', '-in', 'out/sample_fleetsie.img.xz.p7s'],
      ...['-content', 'out/sample_fleetsie.img.xz', '-CAfile', 'out/ca.crt', '-out', '/dev/null'],
    )
  })

  for (const [title, args] of [
    ['npx zx pipeline.ts build', ['zx', 'pipeline.ts', 'build', '--json']],
    ['npx fleetsie build', ['fleetsie', 'build', '--json']],
  ] as const) {
    test(`then ${title} works, and has nothing to do`, async () => {
      const stages = events((await run('npx', ...args)).stdout).filter((event) => event.type === 'stage')
      assert.ok(stages.length > 3)
      for (const stage of stages) assert.match(stage.action, /^(cached|unchanged)$/, JSON.stringify(stage))
    })
  }

  test('npm start a second time installs nothing', async () => {
    const { stdout } = await run('npm', 'start')
    assert.doesNotMatch(stdout, /installing|compiling better-sqlite3/)
  })

  test('npm test installs what is missing and runs the tests', async () => {
    await rm(join(clone, 'node_modules'), { recursive: true })
    await rm(join(clone, 'dist'), { recursive: true })
    // All of them would hold this very test.
    const { stdout } = await run('npm', 'test', '--', 'test/lib/cli/doctor', 'test/workflows')
    assert.match(stdout, /installing the npm packages/)
    assert.match(stdout, /^ℹ fail 0$/m)
    assert.match(stdout, /^[1-9]\d* passed, 0 failed, \d+ skipped, in 2 files$/m)
    assert.ok(existsSync(join(clone, 'dist/lib/cli/bin.js')))
  })

  test('npm test fails when no test ran', async () => {
    const { code, stderr } = await program('npm', ['test', '--', 'no-such-file'], { cwd: clone, env })
    assert.equal(code, 1)
    assert.match(stderr, /no test file matches no-such-file/)
  })
})
