// npm test: makes a clone ready and runs every test, quick ones first, then test/e2e one file at a time.
//   npm test -- PATTERN           only files whose path holds PATTERN
//   npm run test:e2e -- PATTERN   only end-to-end tests whose file name holds PATTERN
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
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

/** Runs these files and returns how many tests passed, failed and were skipped, as one entry per test. */
function runFiles(files, { concurrency, timeout }) {
  const scratch = mkdtempSync(join(tmpdir(), 'fleetsie-test-'))
  const results = join(scratch, 'results')
  // What takes minutes to build and several files need: test/helpers/debian-target.ts.
  const shared = join(scratch, 'shared')
  mkdirSync(shared)
  try {
    const code = run(
      process.execPath,
      [
        ...['--import', 'tsx', '--test', `--test-concurrency=${concurrency}`, `--test-timeout=${timeout}`],
        ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
        ...['--test-reporter=./scripts/results-reporter.mjs', `--test-reporter-destination=${results}`],
        ...files,
      ],
      {
        cwd: root,
        env: childEnvironment({
          FORCE_COLOR: process.stdout.isTTY ? '1' : '0',
          FLEETSIE_TEST_SHARED: shared,
        }),
      },
    )
    const tests = readFileSync(results, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
    return { code, tests }
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

  const runs = []
  if (quick.length > 0) {
    say(`\n${quick.length} files of quick tests`)
    runs.push(runFiles(quick, { concurrency: availableParallelism(), timeout: 5 * minutes }))
  }
  if (endToEnd.length > 0) {
    // They boot machines, compile and measure: two at once would disturb each other.
    say(`\n${endToEnd.length} files of end-to-end tests`)
    runs.push(runFiles(endToEnd, { concurrency: 1, timeout: 30 * minutes }))
  }
  const tests = runs.flatMap((result) => result.tests)
  const count = (outcome) => tests.filter((test) => test.outcome === outcome).length
  for (const test of tests.filter((one) => one.outcome === 'skip')) {
    say(`skipped: ${test.file}: ${test.name}${test.reason ? ` (${test.reason})` : ''}`)
  }
  for (const test of tests.filter((one) => one.outcome === 'fail')) say(`failed: ${test.file}: ${test.name}`)
  say(`${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped, in ${files.length} files`)
  if (count('pass') + count('fail') === 0) {
    throw new Stop(1, files.length === 0 ? `no test file matches ${patterns.join(' ')}` : 'no test ran')
  }
  return runs.every((result) => result.code === 0) && count('fail') === 0 ? 0 : 1
})
