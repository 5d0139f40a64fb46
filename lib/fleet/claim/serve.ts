/**
 * One claim from what a device said to its answer: decides, lets the key in, answers. Whatever dies in between, the device
 * asks again, and what is missing is made up for.
 */
import { dirname } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { ensureDeviceLine } from '../authorized-keys.ts'
import { FleetDatabase, orClose, writeSafely } from '../registry/database.ts'
import { registryVersion } from '../registry/schema.ts'
import { answerText, later } from './answer.ts'
import { auditLine } from './audit-line.ts'
import { type Caller, decideClaim, type Outcome, stillHas } from './claim.ts'
import { countGuess, forgetOld } from './guesses.ts'
import { quietly } from './quietly.ts'
import { parseRequest } from './request.ts'

export interface ClaimPlaces {
  /** fleet.sqlite */
  fleet: string
  /** provisioning.sqlite */
  provisioning: string
  authorizedKeys: string
}

/** For how long another process may hold provisioning.sqlite; ms. */
const provisioningBusy = 5_000

/**
 * Takes what a device said, the whole of it, and hands the text of the answer to `reply`, which must not fail. Never fails;
 * gives the line for the audit.
 */
export function serveClaim(
  said: string,
  reply: (text: string) => void,
  caller: Caller,
  places: ClaimPlaces,
): string {
  const request = parseRequest(said)
  if ('error' in request) {
    const outcome = refused(request.error)
    reply(answerText(outcome.answer))
    return auditLine(outcome, caller, undefined)
  }
  let db: FleetDatabase | undefined
  const answer = (): Outcome => {
    try {
      db = openFleet(places.fleet)
      const outcome = decideClaim(db, request, caller)
      return outcome.claimed ? letIn(db, outcome, caller.fleet, places.authorizedKeys) : outcome
    } catch (error) {
      // What exactly, is nothing for a device to know.
      const why = error instanceof FleetsieError ? error.code : (error as NodeJS.ErrnoException).code
      return refused(`${later}the server could not take this claim (${why ?? 'E_BUG'})`)
    }
  }
  const outcome = answer()
  reply(answerText(outcome.answer))
  // After the answer, for no device waits for it: whoever closes the database last writes its journal back, and what
  // is lost of the rest the next `gen` makes up for.
  quietly(() => db?.close())
  if (outcome.claimed?.fresh) quietly(() => forgetOtp(places.provisioning, outcome.claimed!.idInFleet))
  const wrong = remember(outcome, caller, dirname(places.fleet))
  return auditLine(outcome, caller, request.hwid, wrong)
}

/** How many passwords of this disk were wrong, if this was one. */
function remember({ answer, claimed }: Outcome, { lot, now }: Caller, folder: string): number | undefined {
  let wrong: number | undefined
  quietly(() => {
    if (lot !== undefined && answer.kind === 'Bad') wrong = countGuess(folder, lot, now)
    if (lot !== undefined && claimed?.fresh) forgetOld(folder, lot, now)
  })
  return wrong
}

function refused(message: string): Outcome {
  return { answer: { kind: 'Error', message } }
}

function openFleet(file: string): FleetDatabase {
  const db = new FleetDatabase(file)
  return orClose(db, () => {
    // An Ok that a power cut takes back would be a device that nobody knows.
    writeSafely(db)
    db.pragma('trusted_schema = OFF')
    // To bring it up to date is the business of `gen`, which knows what to do with clear OTPs.
    if (db.pragma('user_version') !== registryVersion)
      throw new FleetsieError('E_UNSUPPORTED', 'the database is of another version', { file })
    return db
  })
}

/** Puts the key into authorized_keys, unless the device was revoked between the commit and now. */
function letIn(db: FleetDatabase, outcome: Outcome, fleet: string, authorizedKeys: string): Outcome {
  const claimed = outcome.claimed!
  // Whoever replaces the file holds this lock.
  return db.transaction(() => {
    if (!stillHas(db, claimed)) return { answer: { kind: 'Bad' } }
    const { hostname, port, key, fresh } = claimed
    const has = ensureDeviceLine(authorizedKeys, { fleet, hostname, port, key }, fresh)
    return has ? outcome : { answer: { kind: 'Bad' } }
  })
}

function forgetOtp(provisioning: string, idInFleet: number): void {
  const db = new FleetDatabase(provisioning)
  try {
    db.pragma(`busy_timeout = ${provisioningBusy}`)
    db.pragma('secure_delete = ON')
    db.run('DELETE FROM devices WHERE id_in_fleet = ?', idInFleet)
  } finally {
    db.close()
  }
}
