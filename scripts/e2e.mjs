// Runs the files of test/e2e: two at a time, the longest first, then one by one those that have to be alone.
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { root } from './setup/setup.mjs'
import { childEnvironment, say } from './setup/terminal.mjs'

/** Files that no other runs beside, and why. */
export const alone = {
  'fleet-revoke': 'measures: a device that is revoked is thrown out within 5 s',
  incremental: 'keeps all processors busy by itself',
  srv: 'measures: srv on a server that is as it should be takes 2 s at most',
}

/** What begins before all others, in this order. `boot` builds the Debian image, for which others would wait. */
export const first = [
  'boot',
  'fresh-clone',
  'package',
  'updatesd-interruptions',
  'attach-killed',
  'debian',
  'provision',
  'server-systemd',
]

/**
 * Runs each file by node with the arguments that `argumentsFor` gives for it, and prints what it said when it has ended; of
 * one file alone, at once. Of one that runs for more than `slow` milliseconds it looks what its processes wait for: once it
 * was ended, nobody can tell. `scratch` is a folder. Returns exit code and milliseconds of each, and what was seen then.
 * @param {readonly string[]} files @param {(file: string) => string[]} argumentsFor
 * @param {{ env: Record<string, string>, scratch: string, slow?: number }} where
 */
export async function runEndToEnd(files, argumentsFor, { env, scratch, slow = 20 * 60_000 }) {
  const isolated = ownMounts()
  const lanes = isolated.length > 0 ? Math.min(2, availableParallelism()) : 1
  const single = files.filter((file) => nameOf(file) in alone)
  const begin = first.flatMap((name) => files.filter((file) => nameOf(file) === name))
  const queue = [...begin, ...files.filter((file) => !begin.includes(file) && !single.includes(file))]
  const ended = []
  const lane = async (queue) => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      say(`${clock()} ${file} begins`)
      const started = performance.now()
      const said = files.length > 1 ? join(scratch, `${basename(file)}.txt`) : undefined
      const command = [...isolated, process.execPath, ...argumentsFor(file)]
      let waits
      const code = await runNode(command, env, said, (pid) => {
        const timer = setTimeout(() => {
          waits = processesOf(pid)
          say(`${file} still runs:\n${waits}`)
        }, slow)
        return () => clearTimeout(timer)
      })
      const ms = performance.now() - started
      if (said !== undefined) say(readFileSync(said, 'utf8').trimEnd())
      say(`${clock()} ${file} has ended after ${Math.round(ms / 1000)} s`)
      ended.push({ file, code, ms, waits })
    }
  }
  await Promise.all(Array.from({ length: lanes }, () => lane(queue)))
  await lane(single)
  return ended
}

const nameOf = (file) => basename(file, '.test.ts')
const clock = () => new Date().toISOString().slice(11, 19)

/**
 * What gives a program mounts of its own, /dev/shm as well; nothing where this user cannot. A namespace that one file makes
 * would else hold copies of what another has mounted at that moment, and keep a file system in use that was unmounted.
 */
function ownMounts() {
  const isolated = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /dev/shm && exec "$@"', 'sh']
  return spawnSync(isolated[0], [...isolated.slice(1), 'true']).status === 0 ? isolated : []
}

/**
 * Its output goes to the terminal or to a file: a pipe would stay open for as long as anything that it left running. `watch`
 * is called with its process id, and what it answers is called at the end.
 */
function runNode([command, ...args], env, output, watch) {
  const fd = output === undefined ? 1 : openSync(output, 'w')
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env: childEnvironment(env), stdio: ['ignore', fd, fd] })
    child.once('error', reject)
    const ended = child.pid === undefined ? undefined : watch(child.pid)
    child.once('exit', (code) => {
      ended?.()
      resolve(code ?? 1)
    })
  }).finally(() => fd > 2 && closeSync(fd))
}

/** A process and what it started, each with its threads: state, seconds, where it waits in the kernel, command line. */
function processesOf(pid) {
  const columns = 'pid=,ppid=,lwp=,stat=,etimes=,wchan:24=,args='
  const lines = spawnSync('ps', ['-ewwLo', columns], { encoding: 'utf8' }).stdout.split('\n')
  const rows = lines.filter(Boolean).map((line) => {
    const [own, parent] = line.trim().split(/ +/, 2).map(Number)
    return { own, parent, line: line.slice(0, 200) }
  })
  const wanted = new Set([pid])
  for (let before = 0; before < wanted.size; ) {
    before = wanted.size
    for (const { own, parent } of rows) if (wanted.has(parent)) wanted.add(own)
  }
  return rows
    .filter(({ own }) => wanted.has(own))
    .map(({ line }) => line)
    .join('\n')
}
