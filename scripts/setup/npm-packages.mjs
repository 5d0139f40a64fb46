// npm packages: exactly those of package-lock.json, and the database module compiled for this very Node.
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { installDebianPackages } from './debian-packages.mjs'
import { capture, childEnvironment, run, Stop, say } from './terminal.mjs'

/** @param {string} root the package's folder */
export function installNpmPackages(root) {
  if (!isCurrent(root)) {
    say('installing the npm packages')
    // Install scripts stay off: the only one that matters would fetch a binary from GitHub, or compile
    // against whatever headers the user's npm points at. compileDatabaseModule does that step.
    const code = npm(root, ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
    if (code !== 0) throw new Stop(4, `npm ci ended with exit code ${code}; its output is above`)
  }
  compileDatabaseModule(root)
}

/** Whether node_modules holds what the lock names. npm writes the inner lock last, after everything is unpacked. */
function isCurrent(root) {
  const installed = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(installed)) return false
  const have = JSON.parse(readFileSync(installed, 'utf8')).packages
  const want = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  return Object.entries(want).every(([path, entry]) => {
    if (path === '') return true
    if (!have[path]) return entry.optional === true
    return have[path].version === entry.version
  })
}

/** Does nothing when better-sqlite3 loads in this Node. @param {string} root the folder of node_modules */
export function compileDatabaseModule(root) {
  const problem = loadProblem(root)
  if (problem === undefined) return
  const { version } = JSON.parse(readFileSync(join(root, 'node_modules/better-sqlite3/package.json'), 'utf8'))
  say(
    `compiling better-sqlite3 ${version}, the database of the store: its makers publish no binary for every`,
  )
  say(
    `Node, and npm's registry holds only its source. This takes about a minute, once for Node ${process.version}.`,
  )
  installDebianPackages(['compile'])
  const found = headers(root)
  // make, which node-gyp writes rules for, takes a blank in a folder's name for the end of it.
  const scratch = mkdtempSync(join(tmpdir(), 'fleetsie-headers-'))
  const nodedir = join(scratch, 'headers')
  symlinkSync(found, nodedir)
  const env = childEnvironment({
    // node-gyp reads these from the environment; npm's own flags of that name are about to go away.
    npm_config_nodedir: nodedir,
    npm_config_build_from_source: 'true',
    JOBS: 'max',
  })
  const { output } = capture(...npmCommand(['rebuild', 'better-sqlite3']), { cwd: root, env })
  rmSync(scratch, { recursive: true })
  const left = loadProblem(root)
  if (left === undefined) return
  const tail = output.trimEnd().split('\n').slice(-30).join('\n')
  throw new Stop(7, `${tail}\n\nbetter-sqlite3 ${version} does not load in Node ${process.version}: ${left}`)
}

/** Why the module cannot be used, found in a process of its own: a binary for another Node can end the process. */
function loadProblem(root) {
  const { ok, output } = capture(
    process.execPath,
    ['-e', "new (require('better-sqlite3'))(':memory:').prepare('select sqlite_version()').get()"],
    { cwd: root },
  )
  if (!ok) return /^(?:\w*Error|Error): .*$/m.exec(output)?.[0] ?? 'it ends the process'
  const binary = join(root, 'node_modules/better-sqlite3/build/Release/better_sqlite3.node')
  const crashes = existsSync(binary) && readFileSync(binary).includes('RemoveEnvironmentCleanupHook')
  return crashes ? 'it was compiled against headers with which it ends the process now and then' : undefined
}

/**
 * The last release of each line before node_object_wrap.h called RemoveEnvironmentCleanupHook in a destructor. With that,
 * better-sqlite3 12 ends the process (`Assertion failed: (env) != nullptr`) when the garbage collector takes a statement
 * outside of any context. All releases of one line have one binary interface: a module made with earlier headers fits.
 */
const lastSafeHeaders = { 24: '24.18.0' }

/**
 * The folder of the C++ headers for the Node that runs this. Never the one that npm's `nodedir` setting names: a
 * module made with another Node's headers compiles well and does not load. Beside the binary, else from npm's registry.
 */
function headers(root) {
  const prefix = dirname(dirname(realpathSync(process.execPath)))
  const own =
    headerVersion(prefix) === process.versions.node ? prefix : headersFromNpm(root, process.versions.node)
  const wrap = readFileSync(join(own, 'include/node/node_object_wrap.h'), 'utf8')
  const safe = lastSafeHeaders[process.versions.node.split('.')[0]]
  return wrap.includes('RemoveEnvironmentCleanupHook') && safe ? headersFromNpm(root, safe) : own
}

function headersFromNpm(root, version) {
  const name = `node-${process.platform}-${process.arch}`
  const folder = join(root, 'node_modules/.cache', `headers-${version}`)
  const found = join(folder, 'node_modules', name)
  if (headerVersion(found) === version) return found
  say(`fetching the headers of Node ${version} (npm package ${name})`)
  const flags = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund']
  npm(root, ['install', '--prefix', folder, ...flags, `${name}@${version}`])
  if (headerVersion(found) === version) return found
  throw new Stop(
    7,
    `The headers of Node ${version} are neither beside ${process.execPath} nor in npm's ${name}.`,
  )
}

function headerVersion(folder) {
  const file = join(folder, 'include/node/node_version.h')
  if (!existsSync(file)) return undefined
  const text = readFileSync(file, 'utf8')
  const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1]
  return `${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}`
}

function npm(root, args) {
  const [command, all] = npmCommand(args)
  return run(command, all, { cwd: root })
}

/** The npm that started this script, else the one in PATH; without .npmrc's loader, which is not installed yet. */
function npmCommand(args) {
  const own = process.env.npm_execpath
  const all = [...args, '--node-options=']
  return own?.endsWith('npm-cli.js') ? [process.execPath, [own, ...all]] : ['npm', all]
}
