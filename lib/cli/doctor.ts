/** What this machine lacks: Node, the database module, programs, rights, disk space, and what mends each. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { installCommand, missingParts, type Requirement, requirements, type Use } from './requirements.ts'

export interface Finding {
  /** ok; missing: every build needs it; limited: only what `detail` names does not work; note: good to know. */
  state: 'ok' | 'missing' | 'limited' | 'note'
  name: string
  detail: string
}

export interface Diagnosis {
  findings: Finding[]
  /** The one command that installs every missing package. */
  command: string | undefined
}

/** What is looked at; tests put something else in its place. */
export interface Machine {
  nodeVersion: string
  /** What went wrong when better-sqlite3 was loaded. */
  databaseProblem(): string | undefined
  path: string
  uid: number
  user: string
  /** The text of a file below /proc or /etc; undefined where there is none. */
  read(file: string): string | undefined
  /** Whether this user may read and write the file. */
  canOpen(file: string): boolean
  /** Free bytes of the filesystem that holds the store. */
  freeBytes: number
}

const stageOf: Record<Use, string> = {
  always: 'every build',
  customize: 'scripts of `customize`',
  foreign: '`customize` for another architecture',
  debian: 'the `debian` stage and `lock`',
  desk: 'the verb `mount` without root',
  boot: 'the verb `boot`',
  sync: '`watch --sync`',
  compile: 'compiling better-sqlite3',
  test: 'the tests',
  bench: 'the bench',
}
const gib = 1024 ** 3
/** The sample needs a few MiB, the Debian target about 4 GiB with everything that is kept between its stages. */
const comfortableBytes = 5 * gib
const neededBytes = 512 * 1024 ** 2

/** Looks at the machine, most needed first. Never fails for what it finds. */
export function diagnose(machine: Machine): Diagnosis {
  const missing: Requirement[] = []
  const tools: Finding[] = []
  const database = databaseFinding(machine)
  for (const need of requirements()) {
    // The tests' own set-up looks after what only they need, the bench does without; a database that loads needs no compiler.
    if (need.when === 'test' || need.when === 'bench' || (need.when === 'compile' && database.state === 'ok'))
      continue
    const parts = missingParts(need, machine.path)
    const state = parts.length === 0 ? 'ok' : need.when === 'always' ? 'missing' : 'limited'
    const detail = `${need.why}${state === 'ok' ? '' : `; missing: ${parts.join(', ')}; for ${stageOf[need.when]}`}`
    tools.push({ state, name: need.package, detail })
    if (state !== 'ok') missing.push(need)
  }
  const packages = missing.map((need) => need.package)
  return {
    findings: [nodeFinding(machine), database, ...tools, ...rightsFindings(machine), diskFinding(machine)],
    command: packages.length === 0 ? undefined : installCommand(packages, machine.uid === 0),
  }
}

function nodeFinding({ nodeVersion }: Machine): Finding {
  const [major = 0, minor = 0] = nodeVersion.replace(/^v/, '').split('.').map(Number)
  const ok = major > 20 || (major === 20 && minor >= 19)
  return {
    state: ok ? 'ok' : 'missing',
    name: 'Node',
    detail: ok ? nodeVersion : `${nodeVersion} is older than 20.19`,
  }
}

function databaseFinding(machine: Machine): Finding {
  const problem = machine.databaseProblem()
  if (problem === undefined)
    return { state: 'ok', name: 'better-sqlite3', detail: 'the database of the store loads' }
  const remedy = 'in a checkout run `npm start`, elsewhere `npm rebuild better-sqlite3 --build-from-source`'
  return {
    state: 'missing',
    name: 'better-sqlite3',
    detail: `does not load in Node ${machine.nodeVersion}: ${problem}; ${remedy}`,
  }
}

/** What `customize` needs to run a script in an image: root, or a user namespace with a range of users. */
function rightsFindings(machine: Machine): Finding[] {
  if (machine.uid === 0) return [{ state: 'ok', name: 'rights', detail: 'root' }]
  return [
    namespaceFinding(machine),
    rangeFinding(machine, '/etc/subuid'),
    rangeFinding(machine, '/etc/subgid'),
    fuseFinding(machine),
  ]
}

/** Without root the kernel mounts no filesystem of an image; fuse2fs does. */
function fuseFinding({ canOpen }: Machine): Finding {
  const name = '/dev/fuse'
  if (canOpen(name)) return { state: 'ok', name, detail: 'allowed for this user' }
  const detail = 'cannot be opened; for scripts of `customize` without root: sudo chmod 666 /dev/fuse'
  return { state: 'limited', name, detail }
}

function namespaceFinding({ read }: Machine): Finding {
  const name = 'user namespaces'
  const setting = (file: string): number | undefined => {
    const text = read(file)?.trim()
    return text ? Number(text) : undefined
  }
  const problems = [
    setting('/proc/sys/user/max_user_namespaces') === 0 && 'sysctl user.max_user_namespaces is 0',
    setting('/proc/sys/kernel/unprivileged_userns_clone') === 0 &&
      'sysctl kernel.unprivileged_userns_clone is 0',
    setting('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === 1 &&
      'sysctl kernel.apparmor_restrict_unprivileged_userns is 1',
  ].filter((problem) => problem !== false)
  if (problems.length === 0) return { state: 'ok', name, detail: 'allowed for this user' }
  const detail = `${problems.join(' and ')}; for scripts of \`customize\` without root`
  return { state: 'limited', name, detail }
}

function rangeFinding({ read, user, uid }: Machine, file: string): Finding {
  const enough = 65_536
  const has = (read(file) ?? '').split('\n').some((line) => {
    const [owner, , count] = line.split(':')
    return (owner === user || owner === String(uid)) && Number(count) >= enough
  })
  if (has) return { state: 'ok', name: file, detail: `holds a range for ${user}` }
  const flag = file.endsWith('gid') ? '--add-subgids' : '--add-subuids'
  const detail = `holds no range of ${enough} for ${user}; for scripts of \`customize\` without root: sudo usermod ${flag} 100000-165535 ${user}`
  return { state: 'limited', name: file, detail }
}

function diskFinding({ freeBytes }: Machine): Finding {
  const free = `${(freeBytes / gib).toFixed(1)} GiB free for the store`
  const name = 'disk space'
  if (freeBytes < neededBytes)
    return { state: 'missing', name, detail: `${free}; \`fleetsie gc\` gives some back` }
  if (freeBytes >= comfortableBytes) return { state: 'ok', name, detail: free }
  return {
    state: 'note',
    name,
    detail: `${free}; a whole image with what is kept between its stages takes about 5 GiB`,
  }
}

/** This machine. */
export function thisMachine(storeFolder: string): Machine {
  return {
    nodeVersion: process.version,
    databaseProblem,
    path: process.env['PATH'] ?? '',
    uid: process.getuid?.() ?? -1,
    user: userName(),
    read: (file) => {
      try {
        return readFileSync(file, 'utf8')
      } catch {
        return undefined
      }
    },
    canOpen: (file) => {
      try {
        accessSync(file, constants.R_OK | constants.W_OK)
        return true
      } catch {
        return false
      }
    },
    freeBytes: freeBytes(storeFolder),
  }
}

/** In a process of its own: a binary made for another Node can end the process that loads it. */
function databaseProblem(): string | undefined {
  const found = createRequire(import.meta.url).resolve('better-sqlite3')
  const script = `new (require(${JSON.stringify(found)}))(':memory:').close()`
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  if (status === 0) return crashingBinary(dirname(dirname(found)))
  return /^(?:\w*Error|Error)\b.*$/m.exec(stderr)?.[0] ?? 'it ends the process'
}

/**
 * Compiled against the headers of Node 24.19 or later, version 12 ends the process when the garbage collector takes a
 * statement at the wrong moment. Such a binary imports a function that no other does.
 */
function crashingBinary(folder: string): string | undefined {
  const binary = join(folder, 'build/Release/better_sqlite3.node')
  if (!existsSync(binary) || !readFileSync(binary).includes('RemoveEnvironmentCleanupHook')) return undefined
  return 'it was compiled against headers of Node 24.19 or later, with which it ends the process now and then'
}

/** A user without an entry in /etc/passwd has no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? '')
  }
}

/** The store may not exist yet: its nearest folder that does tells. */
function freeBytes(folder: string): number {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const { bavail, bsize } = statfsSync(at)
      return bavail * bsize
    } catch (error) {
      if (at === dirname(at)) throw error
    }
  }
}
