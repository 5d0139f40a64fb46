// npm test: makes a clone ready and runs every test: the quick ones, then those of test/e2e (scripts/e2e.mjs).
//   npm test -- PATTERN           only files whose path holds PATTERN
//   npm run test:e2e -- PATTERN   only end-to-end tests whose file name holds PATTERN
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { runEndToEnd } from './e2e.mjs'
import { root, setUp } from './setup/setup.mjs'
import { childEnvironment, main, run, Stop, say } from './setup/terminal.mjs'

const minutes = 60_000

/** Node 20 runs no test, with success, when it is given no file: the list is made here. */
function testFiles() {
  return readdirSync(join(root, 'test'), { recursive: true })
    .map((name) => join('test', String(name)))
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
}

/** Arguments of node that run these files and write an entry for each test to the file `results`. */
function testArguments(files, { concurrency, timeout, results }) {
  return [
    ...['--import', 'tsx', '--test', `--test-concurrency=${concurrency}`, `--test-timeout=${timeout}`],
    ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
    ...['--test-reporter=./scripts/results-reporter.mjs', `--test-reporter-destination=${results}`],
    ...files,
  ]
}

/** Runs the files and returns their exit codes, the entries of their tests, and the files with how long each took. */
async function runFiles(quick, endToEnd) {
  const scratch = mkdtempSync(join(tmpdir(), 'fleetsie-test-'))
  // What takes minutes to build and several files need: test/helpers/debian-target.ts.
  const shared = join(scratch, 'shared')
  const results = join(scratch, 'results')
  for (const folder of [shared, results]) mkdirSync(folder)
  const env = { FORCE_COLOR: process.stdout.isTTY ? '1' : '0', FLEETSIE_TEST_SHARED: shared }
  const read = () =>
    readdirSync(results)
      .flatMap((name) => readFileSync(join(results, name), 'utf8').split('\n').filter(Boolean))
      .map((line) => JSON.parse(line))
  try {
    const codes = []
    const times = []
    if (quick.length > 0) {
      say(`\n${quick.length} files of quick tests`)
      const how = {
        // Many wait for programs most of their time.
        concurrency: availableParallelism() + 1,
        timeout: 5 * minutes,
        results: join(results, 'quick'),
      }
      codes.push(run(process.execPath, testArguments(quick, how), { cwd: root, env: childEnvironment(env) }))
      const tests = read()
      for (const file of quick) {
        const ms = tests.filter((test) => test.file === file).reduce((sum, test) => sum + test.ms, 0)
        times.push({ file, ms })
      }
    }
    if (endToEnd.length > 0) {
      say(`\n${endToEnd.length} files of end-to-end tests`)
      const argumentsFor = (file) => {
        const how = { concurrency: 1, timeout: 25 * minutes, results: join(results, basename(file)) }
        return testArguments([file], how)
      }
      for (const { code, ...time } of await runEndToEnd(endToEnd, argumentsFor, { env, scratch })) {
        codes.push(code)
        times.push(time)
      }
    }
    return { codes, times, tests: read() }
  } finally {
    // A store's objects are read-only.
    run('chmod', ['-R', 'u+w', shared])
    rmSync(scratch, { recursive: true, force: true })
  }
}

await main(async () => {
  const args = process.argv.slice(2)
  const onlyEndToEnd = args[0] === '--e2e'
  const patterns = onlyEndToEnd ? args.slice(1) : args
  // compile: tests call python3 as well.
  setUp(['always', 'customize', 'foreign', 'debian', 'sync', 'desk', 'boot', 'compile', 'test'])

  const matches = (file) => {
    const name = onlyEndToEnd ? basename(file) : file
    return patterns.length === 0 || patterns.some((pattern) => name.includes(pattern))
  }
  const files = testFiles().filter(matches)
  const endToEnd = files.filter((file) => file.startsWith('test/e2e/'))
  const quick = onlyEndToEnd ? [] : files.filter((file) => !file.startsWith('test/e2e/'))

  const { codes, times, tests } = await runFiles(quick, endToEnd)
  const count = (outcome) => tests.filter((test) => test.outcome === outcome).length
  say('\nwhat took longest:')
  for (const { file, ms } of times.sort((a, b) => b.ms - a.ms).slice(0, 10)) {
    say(`${(ms / 1000).toFixed(1).padStart(7)} s ${file}`)
  }
  for (const test of tests.filter((one) => one.outcome === 'skip')) {
    say(`skipped: ${test.file}: ${test.name}${test.reason ? ` (${test.reason})` : ''}`)
  }
  for (const test of tests.filter((one) => one.outcome === 'fail')) {
    say(`failed: ${test.file}: ${test.name}`)
    if (test.reason) say(test.reason.replace(/^/gm, '  '))
  }
  for (const { file, waits } of times)
    if (waits) say(`${file} ran for long; what its processes waited for:\n${waits}`)
  say(
    `${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped, in ${quick.length + endToEnd.length} files`,
  )
  if (count('pass') + count('fail') === 0) {
    throw new Stop(1, times.length === 0 ? `no test file matches ${patterns.join(' ')}` : 'no test ran')
  }
  return codes.every((code) => code === 0) && count('fail') === 0 ? 0 : 1
})
