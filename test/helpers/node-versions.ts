/** Other versions of Node, from npm, and the database module compiled for each; both are kept for the next run. */

import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rename } from 'node:fs/promises'
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
  if (!existsSync(path)) {
    await mkdir(folder, { recursive: true })
    const args = ['install', '--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund']
    await succeeds('npm', [...args, `${name}@${version}`], { cwd: folder })
  }
  return path
}

/** The environment of a shell in which `node` is this one. */
export function withNode(node: string, added: Record<string, string> = {}): NodeJS.ProcessEnv {
  return shellEnvironment({ ...added, PATH: `${dirname(node)}:${process.env['PATH'] ?? ''}` })
}

/** Makes better-sqlite3 below `project` load in this Node, by the very code of `npm start`. */
export async function compileDatabase(project: string, node: string, version: string): Promise<void> {
  const installed = join(project, 'node_modules/better-sqlite3/package.json')
  const database = (JSON.parse(await readFile(installed, 'utf8')) as { version: string }).version
  const kept = join(cache, `better-sqlite3-${database}-node-${version}-${process.arch}.node`)
  const ours = version === process.versions.node ? join(checkout, binary) : kept
  if (existsSync(ours)) {
    await mkdir(dirname(join(project, binary)), { recursive: true })
    await copyFile(ours, join(project, binary))
    return
  }
  const module = pathToFileURL(join(checkout, 'scripts/setup/npm-packages.mjs')).href
  const script = `import(${JSON.stringify(module)}).then((m) => m.compileDatabaseModule(${JSON.stringify(project)}))`
  await succeeds(node, ['-e', script], { cwd: project, env: withNode(node) })
  await mkdir(cache, { recursive: true })
  await copyFile(join(project, binary), `${kept}.part`)
  await rename(`${kept}.part`, kept)
}
