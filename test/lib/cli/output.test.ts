/** What ends where: JSON lines, errors, exit codes. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { checkout } from '../../helpers/npm-project.ts'
import { temporaryFolder } from '../../helpers/store.ts'

const bin = join(checkout, 'lib/cli/bin.ts')
const tsx = join(checkout, 'node_modules/tsx/dist/loader.mjs')

/** A project whose pipeline.ts has this text behind the import of `pipeline`. */
function project(t: TestContext, pipeline: string, packageJson = '{ "type": "module" }'): string {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'package.json'), packageJson)
  const index = JSON.stringify(join(checkout, 'lib/index.ts'))
  writeFileSync(join(folder, 'pipeline.ts'), `import { pipeline, fetch } from ${index}\n${pipeline}\n`)
  return folder
}

function run(cwd: string, args: string[], given: { stdout?: number; env?: NodeJS.ProcessEnv } = {}) {
  const env = { ...process.env, FLEETSIE_STORE: join(cwd, 'store'), NODE_OPTIONS: '', ...given.env }
  const stdio = ['ignore', given.stdout ?? 'pipe', 'pipe'] as const
  return spawnSync(process.execPath, ['--import', tsx, bin, ...args], {
    cwd,
    env,
    stdio: [...stdio],
    encoding: 'utf8',
  })
}

const wrong: [title: string, pipeline: string, args: string[], code: string][] = [
  ['an unknown target', 'await pipeline({})', ['build', 'x'], 'E_USAGE'],
  [
    'a shell for debugging',
    'await pipeline({ a: () => fetch({ file: "x" }) })',
    ['build', '--debug-shell'],
    'E_USAGE',
  ],
  [
    'a wrong option in a target',
    'await pipeline({ a: () => fetch({ fil: "x" } as never) })',
    ['build'],
    'E_OPTION',
  ],
]
for (const [title, text, args, code] of wrong) {
  test(`${title} is a JSON line too`, (t) => {
    const { status, stdout, stderr } = run(project(t, text), [...args, '--json'])
    assert.deepEqual([status, stderr], [1, ''])
    const events = stdout.trimEnd().split('\n')
    assert.equal((JSON.parse(events.at(-1)!) as { code: string }).code, code)
  })
}

test('output that cannot be written is an error', {
  skip: !existsSync('/dev/full') && 'no /dev/full',
}, (t) => {
  const full = openSync('/dev/full', 'w')
  const { status, stderr } = run(temporaryFolder(t), ['gc'], { stdout: full })
  closeSync(full)
  assert.equal(status, 8)
  assert.match(stderr, /^error: the output could not be written: ENOSPC.*\n$/)
})

test('a wrong option outside of any target is told like one within', (t) => {
  const folder = project(t, 'fetch({ fil: "x" } as never)')
  const { status, stderr } = run(folder, ['build'])
  assert.deepEqual(
    [status, /^error: fetch: .*`fil`/.test(stderr), / at /.test(stderr)],
    [1, true, false],
    stderr,
  )
})

const readsModules = Number(process.versions.node.split('.')[0]) > 20 && 'this Node looks into the file'
test('a folder without "type": "module" is named, with the remedy', { skip: readsModules }, (t) => {
  const folder = project(t, 'await pipeline({})', '{}')
  const { status, stderr } = run(folder, ['build'])
  assert.equal(status, 1)
  assert.match(
    stderr,
    /^error: .*pipeline\.ts: it was loaded as CommonJS.*\n {2}try: npm pkg set type=module\n$/,
  )
})

test('a relative FLEETSIE_STORE counts from where the user is', (t) => {
  const folder = project(t, 'await pipeline({ a: () => fetch({ file: "in.img" }) })')
  mkdirSync(join(folder, 'sub'))
  writeFileSync(join(folder, 'in.img'), '')
  assert.equal(run(join(folder, 'sub'), ['build'], { env: { FLEETSIE_STORE: 'here' } }).status, 0)
  assert.ok(existsSync(join(folder, 'sub/here/version')))
})
