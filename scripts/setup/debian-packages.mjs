// Debian packages: which of requirements.json are missing, and installing them where that is allowed.
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'
import { capture, run, Stop, say } from './terminal.mjs'

/** @typedef {{ package: string, tools: string[], files?: string[], when: string, service?: boolean, why: string }} Requirement */

/** @returns {Requirement[]} */
export function requirements() {
  return JSON.parse(readFileSync(new URL('../requirements.json', import.meta.url), 'utf8'))
}

/** The requirements of these uses that are not installed. @param {readonly string[]} uses */
export function missing(uses) {
  return requirements().filter((need) => uses.includes(need.when) && !isThere(need))
}

/** What to install: without what would start a service on a machine that runs services. @param {readonly string[]} uses */
function wanted(uses) {
  const started = existsSync('/run/systemd/system')
  return missing(uses).filter((need) => !(need.service && started))
}

/** Installs what is missing, or ends with exit code 7 and the command that does. @param {readonly string[]} uses */
export function installDebianPackages(uses) {
  const needs = wanted(uses)
  if (needs.length === 0) return
  for (const need of needs) say(`missing: ${need.package} (${need.why})`)
  const packages = needs.map((need) => need.package)
  const prefix = rootPrefix()
  if (!prefix || !findTool('apt-get')) throw new Stop(7, advice(packages))
  say(`installing ${packages.length} Debian packages with apt-get`)
  const apt = (/** @type {string[]} */ ...args) => {
    const [command, ...rest] = [
      ...prefix,
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      '-q',
      '-y',
      ...args,
    ]
    return run(command, rest)
  }
  const install = [
    '--no-install-recommends',
    '-o',
    'DPkg::Lock::Timeout=300',
    '-o',
    'Dpkg::Use-Pty=0',
    'install',
    ...packages,
  ]
  // Lists that were never fetched, or are so old that the mirror has dropped what they name.
  if (apt(...install) !== 0 && (apt('update') !== 0 || apt(...install) !== 0)) {
    throw new Stop(7, `apt-get could not install the packages.\n${advice(packages)}`)
  }
  const still = wanted(uses)
  if (still.length > 0) throw new Stop(7, `still missing: ${still.map((need) => need.package).join(' ')}`)
}

/** @param {readonly string[]} packages */
function advice(packages) {
  const sudo = process.getuid?.() === 0 ? '' : 'sudo '
  return `Install them with this command, then run this again:\n\n  ${sudo}apt-get install -y --no-install-recommends ${packages.join(' ')}\n`
}

/** What to put in front of a command so that it runs as root; undefined when that would ask for a password. */
function rootPrefix() {
  if (process.getuid?.() === 0) return []
  return findTool('sudo') && capture('sudo', ['-n', 'true']).ok ? ['sudo', '-n'] : undefined
}

/** @param {Requirement} need */
function isThere(need) {
  return need.tools.every(findTool) && (need.files ?? []).every((file) => existsSync(file))
}

/** A user's PATH often lacks the sbin folders, which stages search as well. @param {string} name */
function findTool(name) {
  const folders = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`.split(':')
  return folders.some((folder) => {
    try {
      accessSync(`${folder}/${name}`, constants.X_OK)
      return statSync(`${folder}/${name}`).isFile()
    } catch {
      return false
    }
  })
}
