// Makes a clone ready: Debian packages, npm packages, the compiled program in dist/.
import { fileURLToPath } from 'node:url'
import { compile } from '../compile.mjs'
import { installDebianPackages } from './debian-packages.mjs'
import { installNpmPackages } from './npm-packages.mjs'
import { Stop } from './terminal.mjs'

/** The package's folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** Does only what is missing. @param {readonly string[]} uses values of `when` in requirements.json */
export function setUp(uses) {
  install(uses)
  compile(root)
}

/** The same without compiling. @param {readonly string[]} uses */
export function install(uses) {
  checkNode()
  installDebianPackages(uses)
  installNpmPackages(root)
}

function checkNode() {
  if (process.platform !== 'linux') throw new Stop(7, 'fleetsie runs on Linux only.')
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Stop(7, `fleetsie needs Node 20.19 or later; this is ${process.version}.`)
  }
}
