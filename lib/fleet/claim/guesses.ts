/**
 * The passwords that a disk guessed wrong. Nobody guesses one of 1024 bits: who tries is a thief, a fault, or a disk whose
 * devices were given to others, and the manager has to hear of it. A right one is taken however many were wrong before: no
 * thief locks a device out.
 *
 * They are counted in LOT.wrong beside the fleet's databases, one byte each: a file that is only appended to needs no lock and
 * no transaction. From `suspicious` on it is LOT.guessing, which units/fleetsie_gate.sh looks for.
 */
import {
  closeSync,
  constants,
  fstatSync,
  futimesSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { quietly } from './quietly.ts'

export interface Guesses {
  lot: string
  /** How many, at most `most`. */
  wrong: number
  /** When the last was; unix seconds. */
  last: number
}

/** Five devices that try twenty passwords each of a disk that was written anew. */
export const suspicious = 100
const most = 1_000_000
/** After a day without a wrong one, seconds, a disk is like any other again. */
const forgotten = 24 * 60 * 60

const counting = (folder: string, lot: string): string => join(folder, `${lot}.wrong`)
const guessing = (folder: string, lot: string): string => join(folder, `${lot}.guessing`)

/** Counts a wrong password; answers how many there were. `now`: unix seconds. */
export function countGuess(folder: string, lot: string, now: number): number {
  forgetOld(folder, lot, now)
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants
  const known = lstatSync(guessing(folder, lot), { throwIfNoEntry: false }) !== undefined
  const path = known ? guessing(folder, lot) : counting(folder, lot)
  const file = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o640)
  try {
    if (fstatSync(file).size < most) writeSync(file, '.')
    futimesSync(file, now, now)
    const { size } = fstatSync(file)
    // Two at once: one of them finds that it is done.
    if (!known && size >= suspicious) quietly(() => renameSync(path, guessing(folder, lot)))
    return size
  } finally {
    closeSync(file)
  }
}

/** Forgets what is a day old. */
export function forgetOld(folder: string, lot: string, now: number): void {
  for (const path of [counting(folder, lot), guessing(folder, lot)]) {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found && now - found.mtimeMs / 1000 > forgotten) rmSync(path, { force: true })
  }
}

/** The disks of a fleet that guess. Nothing is opened: the files are the fleet user's. */
export function guessesIn(folder: string, now: number): Guesses[] {
  return readdirSync(folder).flatMap((name) => {
    const [, lot] = /^([0-9a-f]{16})\.guessing$/.exec(name) ?? []
    const found = lot === undefined ? undefined : lstatSync(join(folder, name), { throwIfNoEntry: false })
    // That user may have made it empty, or of tomorrow.
    if (lot === undefined || !found?.isFile() || found.size === 0) return []
    const last = Math.min(Math.floor(found.mtimeMs / 1000), now)
    return now - last > forgotten ? [] : [{ lot, wrong: Math.min(found.size, most), last }]
  })
}
