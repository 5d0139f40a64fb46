/** How scripts/test.mjs runs the files of test/e2e. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { needsRoot } from '../helpers/needs.ts'
import { checkout } from '../helpers/npm-project.ts'

interface Module {
  alone: Record<string, string>
  first: string[]
  runEndToEnd(
    files: string[],
    argumentsFor: (file: string) => string[],
    where: { env: Record<string, string>; scratch: string; slow?: number },
  ): Promise<{ file: string; code: number; ms: number }[]>
}
const { alone, first, runEndToEnd }: Module = await import(join(checkout, 'scripts/e2e.mjs'))
const nameOf = (file: string): string => file.replace(/^.*\/(.*)\.test\.ts$/, '$1')

test('the files that end-to-end tests name for their order are there', () => {
  const gone = [...Object.keys(alone), ...first].filter(
    (name) => !existsSync(join(checkout, 'test/e2e', `${name}.test.ts`)),
  )
  assert.deepEqual(gone, [])
})

test('two files run at once, a failure is told, and those that must be alone come last, one by one', {
  skip: needsRoot || (availableParallelism() < 2 && 'needs two processors'),
}, async (t) => {
  const scratch = mkdtempSync(join(tmpdir(), 'fleetsie-lanes-'))
  t.after(() => rmSync(scratch, { recursive: true }))
  const log = join(scratch, 'log')
  // Each says when it begins and ends; what is not alone waits until the next has begun.
  const program = `const { appendFileSync, readFileSync } = require('node:fs')
const [name, other] = process.argv.slice(1)
const log = ${JSON.stringify(log)}
appendFileSync(log, '+' + name + '\\n')
const limit = Date.now() + 20_000
while (other && !readFileSync(log, 'utf8').includes('+' + other)) if (Date.now() > limit) process.exit(1)
appendFileSync(log, '-' + name + '\\n')
process.exit(name === 'names' ? 3 : 0)`
  const waitsFor: Record<string, string> = { names: 'boot', boot: 'names' }
  writeFileSync(log, '')
  const files = ['fleet-revoke', 'names', 'boot', 'srv'].map((name) => `test/e2e/${name}.test.ts`)
  const argumentsFor = (file: string): string[] => ['-e', program, nameOf(file), waitsFor[nameOf(file)] ?? '']
  const ended = await runEndToEnd(files, argumentsFor, { env: {}, scratch })
  assert.deepEqual(Object.fromEntries(ended.map(({ file, code }) => [nameOf(file), code])), {
    boot: 0,
    names: 3,
    'fleet-revoke': 0,
    srv: 0,
  })
  const lines = readFileSync(log, 'utf8').trim().split('\n')
  assert.deepEqual(lines.slice(0, 2).sort(), ['+boot', '+names'])
  assert.deepEqual(lines.slice(4), ['+fleet-revoke', '-fleet-revoke', '+srv', '-srv'])
})

test('of a file that runs for long it is told what its processes wait for', {
  skip: needsRoot,
}, async (t) => {
  const scratch = mkdtempSync(join(tmpdir(), 'fleetsie-lanes-'))
  t.after(() => rmSync(scratch, { recursive: true }))
  const said: string[] = []
  const write = t.mock.method(process.stdout, 'write', (text: string) => {
    said.push(text)
    // Seen: what it waited for is there.
    if (text.includes('still runs')) writeFileSync(join(scratch, 'seen'), '')
    return true
  })
  const program = `while ! [ -e ${scratch}/seen ]; do sleep 0.05; done`
  const spawned = `require('node:child_process').spawnSync('sh', ['-c', ${JSON.stringify(program)}])`
  try {
    await runEndToEnd(['test/e2e/names.test.ts'], () => ['-e', spawned], { env: {}, scratch, slow: 5_000 })
  } finally {
    write.mock.restore()
  }
  const [told] = said.filter((text) => text.includes('still runs'))
  assert.match(told ?? '', /^test\/e2e\/names.test.ts still runs:\n *\d+ +\d+ +\d+ S.*node -e/)
  assert.match(told ?? '', /\d+ +[RS].* sh -c while/)
})
