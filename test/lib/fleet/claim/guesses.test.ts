import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, it } from 'node:test'
import { countGuess, forgetOld, guessesIn, suspicious } from '../../../../lib/fleet/claim/guesses.ts'
import { makeOtp } from '../../../../lib/fleet/names.ts'
import { ClaimFleet, hwid, newKey, ourForm } from '../../../helpers/claims.ts'

const root = mkdtempSync(join(tmpdir(), 'fleetsie-guesses-'))
after(() => rmSync(root, { recursive: true }))
const lot = '0123456789abcdef'
const now = 1_800_000_000
const day = 24 * 60 * 60
let made = 0

describe('wrong passwords of a disk', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(root, 'fleet-'))
  })
  const guess = (times: number, at = now): number => {
    let count = 0
    for (let i = 0; i < times; i++) count = countGuess(folder, lot, at)
    return count
  }

  it('are told of from the hundredth on, with their number and when the last was', () => {
    assert.equal(guess(suspicious - 1), suspicious - 1)
    assert.deepEqual(guessesIn(folder, now), [])
    assert.equal(guess(1), suspicious)
    assert.equal(guess(1, now + 5), suspicious + 1)
    assert.deepEqual(guessesIn(folder, now + 6), [{ lot, wrong: suspicious + 1, last: now + 5 }])
    assert.deepEqual(readdirSync(folder), [`${lot}.guessing`])
  })

  it('are forgotten after a day without one', () => {
    guess(suspicious)
    assert.deepEqual(guessesIn(folder, now + day + 1), [])
    forgetOld(folder, lot, now + day - 1)
    assert.equal(guessesIn(folder, now + day).length, 1)
    assert.equal(guess(1, now + day + 1), 1)
    forgetOld(folder, lot, now + 3 * day)
    assert.deepEqual(readdirSync(folder), [])
  })

  it('are what they can be, whatever the user of the fleet has put there', () => {
    writeFileSync(join(folder, `${lot}.guessing`), '')
    assert.deepEqual(guessesIn(folder, now), [])
    writeFileSync(join(folder, `${lot}.guessing`), '.')
    utimesSync(join(folder, `${lot}.guessing`), 1e10, 1e10)
    assert.deepEqual(guessesIn(folder, now), [{ lot, wrong: 1, last: now }])
  })

  it('are not written through a link, and no link is shown', () => {
    writeFileSync(join(root, 'other'), 'x')
    for (const end of ['wrong', 'guessing']) symlinkSync(join(root, 'other'), join(folder, `${lot}.${end}`))
    const today = Date.now() / 1000
    assert.throws(() => countGuess(folder, lot, today), { code: 'ELOOP' })
    assert.deepEqual(guessesIn(folder, today), [])
  })
})

describe('a disk that guesses', () => {
  it('is counted in the log, and its right passwords are taken however many were wrong', () => {
    const fleet = new ClaimFleet(join(root, `claims-${made++}`), 3)
    fleet.lot(lot, [1, 2])
    const folder = join(fleet.places.fleet, '..')
    // Of another disk, and of none.
    for (const otp of [fleet.otps[2]!, makeOtp()]) {
      assert.equal(fleet.ask(ourForm(9, otp, newKey()), lot), 'Bad\n')
    }
    assert.match(fleet.serve(ourForm(9, makeOtp(), newKey()), lot).audit, / answer=Bad 3 wrong$/)
    for (let i = 3; i < suspicious; i++) countGuess(folder, lot, fleet.now)
    assert.equal(guessesIn(folder, fleet.now)[0]?.wrong, suspicious)
    const key = newKey()
    assert.match(fleet.ask(ourForm(1, fleet.otps[0]!, key), lot), /^Ok\n/)
    // Neither of these is a guess.
    assert.equal(fleet.ask(ourForm(2, fleet.otps[0]!, newKey()), lot), 'Try\n2\n')
    assert.match(fleet.ask(`${hwid(2)}\n${fleet.otps[1]}\n`, lot), /^Error\n/)
    assert.equal(guessesIn(folder, fleet.now)[0]?.wrong, suspicious)
    fleet.now += day + 1
    assert.match(fleet.ask(ourForm(2, fleet.otps[1]!, newKey()), lot), /^Ok\n/)
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith(lot)),
      [],
    )
  })
})
