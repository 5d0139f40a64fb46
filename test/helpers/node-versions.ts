/** Other versions of Node, from npm, and the database module compiled for each; both are kept for the next run. */

import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { checkout, shellEnvironment, succeeds } from './npm-project.ts'

const cache = join(checkout, 'node_modules/.cache/fleetsie-test')
const binary = 'node_modules/better-sqlite3/build/Release/better_sqlite3.node'

/** The last of each line that this program must run on. */
export const nodeVersions = ['20.20.2', '22.23.3', '24.21.0'] as const

/** Path of the binary of this version, with its headers where node-gyp looks for them. */
export async function nodeBinary(version: string): Promise<string> {
  if (version === process.versions.node) return process.execPath
  const name = `node-linux-${process.arch}`
  const folder = join(cache, `node-${version}`)
  const path = join(folder, 'node_modules', name, 'bin/node')
  const args = ['install', '--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund']
  await makeOnce(path, folder, ['npm', ...args, `${name}@${version}`])
  return path
}

/** Runs a program that makes `file`, below `folder`, unless it is there. Another test file that wants it, too, waits. */
async function makeOnce(
  file: string,
  folder: string,
  argv: readonly string[],
  env?: NodeJS.ProcessEnv,
): Promise<void> {
  if (existsSync(file)) return
  await mkdir(folder, { recursive: true })
  const locked = ['--close', `${folder}.lock`, 'sh', '-c', '[ -e "$0" ] || exec "$@"', file, ...argv]
  await succeeds('flock', locked, { cwd: folder, ...(env && { env }) })
}

/** The environment of a shell in which `node` is this one. */
export function withNode(node: string, added: Record<string, string> = {}): NodeJS.ProcessEnv {
  return shellEnvironment({ ...added, PATH: `${dirname(node)}:${process.env['PATH'] ?? ''}` })
}

/** Makes better-sqlite3 below `project` load in this Node. */
export async function compileDatabase(project: string, node: string, version: string): Promise<void> {
  await mkdir(dirname(join(project, binary)), { recursive: true })
  await copyFile(await databaseFor(node, version), join(project, binary))
}

/** The binary, compiled by the very code of `npm start`: in a folder of a plain name, for make takes others for syntax. */
async function databaseFor(node: string, version: string): Promise<string> {
  if (version === process.versions.node) return join(checkout, binary)
  const installed = join(checkout, 'node_modules/better-sqlite3/package.json')
  const database = (JSON.parse(await readFile(installed, 'utf8')) as { version: string }).version
  const folder = join(cache, `better-sqlite3-${database}-node-${version}-${process.arch}`)
  const kept = join(folder, 'better_sqlite3.node')
  const script = `
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileDatabaseModule } from ${JSON.stringify(pathToFileURL(join(checkout, 'scripts/setup/npm-packages.mjs')).href)}
const [from, kept] = ${JSON.stringify([join(checkout, 'node_modules'), kept])}
const folder = mkdtempSync(join(tmpdir(), 'fleetsie-database-'))
const modules = join(folder, 'node_modules')
mkdirSync(modules)
for (const name of readdirSync(from).filter((name) => !name.startsWith('.')))
  if (name === 'better-sqlite3') cpSync(join(from, name), join(modules, name), { recursive: true })
  else symlinkSync(join(from, name), join(modules, name))
try {
  compileDatabaseModule(folder)
  copyFileSync(join(folder, ${JSON.stringify(binary)}), kept + '.part')
  renameSync(kept + '.part', kept)
} finally {
  rmSync(folder, { recursive: true })
}`
  await makeOnce(kept, folder, [node, '--input-type=module', '-e', script], withNode(node))
  return kept
}
