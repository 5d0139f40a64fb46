import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clockWarning } from '../../../../lib/fleet/client/clock.ts'

const now = 1_800_000_000
const year = 365 * 86_400

for (const [title, seconds, told] of [
  ['the same time', 0, undefined],
  ['a slow answer', -9 * 60, undefined],
  ['a clock that is 20 minutes slow', -20 * 60, /is 20 minutes behind the server's: disks expire earlier/],
  ['a wrong time zone', 5 * 3600, /is 5 hours ahead of the server's: disks expire later/],
  ['ten years ahead', 10 * year, /is 3650 days ahead of/],
  ['ten years behind', -10 * year, /is 3650 days behind/],
] as const) {
  test(`${title} is ${told ? 'told' : 'nothing to tell'}`, () => {
    const said = clockWarning(now, (now + seconds) * 1000)
    if (told) assert.match(said!, told)
    else assert.equal(said, undefined)
  })
}
