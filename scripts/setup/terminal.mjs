// What the scripts print, how they run programs, and how they end. No dependencies: this runs before `npm ci`.
import { spawnSync } from 'node:child_process'
import { constants } from 'node:os'
import { dirname } from 'node:path'

/** An end that the user can do something about: a message, and the exit code that the README lists. */
export class Stop extends Error {
  /** @param {number} exitCode @param {string} message */
  constructor(exitCode, message) {
    super(message)
    this.exitCode = exitCode
  }
}

/** @param {string} line */
export function say(line) {
  process.stdout.write(`${line}\n`)
}

/**
 * Runs a program with this terminal and returns its exit code, 128 + the signal's number when one ended it.
 * @param {string} command @param {readonly string[]} args @param {import('node:child_process').SpawnSyncOptions} [options]
 */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { stdio: 'inherit', env: childEnvironment(), ...options })
  if (result.error) throw new Stop(7, `${command} does not start: ${result.error.message}`)
  return result.status ?? 128 + (constants.signals[result.signal] ?? 0)
}

/** Runs a program quietly and returns what it printed. @param {string} command @param {readonly string[]} args
 *  @param {import('node:child_process').SpawnSyncOptions} [options] */
export function capture(command, args, options = {}) {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    env: childEnvironment(),
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  })
  return { ok: result.status === 0, output: `${result.stdout ?? ''}${result.stderr ?? ''}` }
}

/** This Node first in PATH, whatever else is installed, and without a loader that is not there yet. */
export function childEnvironment(added = {}) {
  const { NODE_OPTIONS: _, ...env } = process.env
  return { ...env, PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`, ...added }
}

/** Runs `work`; a Stop that leaves it is printed and becomes the exit code. @param {() => Promise<number | void>} work */
export async function main(work) {
  try {
    process.exitCode = (await work()) ?? 0
  } catch (error) {
    if (!(error instanceof Stop)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = error.exitCode
  }
}
