/** What ends where: JSON lines, errors, exit codes. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
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
