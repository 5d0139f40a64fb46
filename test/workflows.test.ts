/** The workflows of .github call verbs and options that exist, and upload what a build makes. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { temporaryFolder } from './helpers/store.ts'

interface Workflow {
  jobs: Record<string, { steps: { name?: string; run?: string; env?: Record<string, string> }[] }>
}

const root = join(import.meta.dirname, '..')
const folder = join(root, '.github/workflows')
const packageScripts = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object })
  .scripts

function stepsOf(file: string): Workflow['jobs'][string]['steps'] {
  const { jobs } = parse(readFileSync(join(folder, file), 'utf8')) as Workflow
  return Object.values(jobs).flatMap((job) => job.steps)
}

/** Every call of `fleetsie` in the steps: the verb and its long options. */
function calls(file: string): { line: string; words: string[] }[] {
  const lines = stepsOf(file).flatMap((step) => step.run?.split('\n') ?? [])
  return lines.flatMap((line) => {
    const found = /\bnpx fleetsie ([^|;&]*)/.exec(line)?.[1]
    return found === undefined ? [] : [{ line, words: found.trim().split(/\s+/) }]
  })
}

function help(verb: string): { status: number | null; text: string } {
  const bin = ['--import', 'tsx', 'lib/cli/bin.ts', verb, '--help']
  const { status, stdout } = spawnSync(process.execPath, bin, { cwd: root, encoding: 'utf8' })
  return { status, text: stdout }
}

for (const file of readdirSync(folder)) {
  describe(file, () => {
    test('calls fleetsie', () => assert.ok(calls(file).length > 0))

    for (const { line, words } of calls(file)) {
      test(`has a right call: ${line.trim()}`, () => {
        const [verb = '', ...rest] = words
        const { status, text } = help(verb)
        assert.equal(status, 0)
        assert.match(text, new RegExp(`^Usage: fleetsie ${verb}\\b`))
        for (const word of rest.filter((one) => one.startsWith('--'))) assert.ok(text.includes(word), word)
      })
    }

    for (const { name, run = '', env = {} } of stepsOf(file)) {
      const secrets = Object.keys(env).filter((variable) => env[variable]!.includes('secrets.'))
      if (secrets.length === 0) continue
      test(`the step "${name}" sees no empty secret`, (t) => {
        const bin = temporaryFolder(t)
        writeFileSync(join(bin, 'npx'), '#!/bin/sh\nenv >> "$0.env"\n', { mode: 0o755 })
        for (const value of ['', 'pem']) {
          const given = Object.fromEntries(secrets.map((variable) => [variable, value]))
          const options = { cwd: bin, env: { PATH: `${bin}:/usr/bin:/bin`, ...given } }
          const { status } = spawnSync(
            'bash',
            ['--noprofile', '--norc', '-eo', 'pipefail', '-c', run],
            options,
          )
          assert.equal(status, 0)
          const seen = readFileSync(join(bin, 'npx.env'), 'utf8')
          for (const variable of secrets) assert.equal(seen.includes(`${variable}=`), value !== '', variable)
        }
      })
    }

    test('calls npm scripts that exist', () => {
      const text = readFileSync(join(folder, file), 'utf8')
      for (const [, name] of text.matchAll(/\bnpm run ([\w:-]+)/g)) assert.ok(name! in packageScripts, name)
    })
  })
}

test('.ci/run is executable, and calls the command of the README', () => {
  accessSync(join(root, '.ci/run'), constants.X_OK)
  const text = readFileSync(join(root, '.ci/run'), 'utf8')
  assert.match(text, /^npm test$/m)
  assert.match(text, /^npm run check$/m)
  if (existsSync(join(root, 'README.md')))
    assert.match(readFileSync(join(root, 'README.md'), 'utf8'), /npm test/)
})
