/** What a claim itself takes in a registry of a million devices: from the request to the answer, synced to the disk. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deviceLine } from '../../lib/fleet/authorized-keys.ts'
import { ClaimFleet, newKey, ourForm } from '../../test/helpers/claims.ts'
import type { Sample } from '../measure.ts'
import { figures } from '../row.ts'
import type { PlainScenario } from './scenario.ts'

const registered = 1_000_000
const claimsEach = 200
/** As many devices as a server has ports for are in its authorized_keys. */
const lines = 9_999

export const fleetClaim: PlainScenario = {
  name: 'fleet-claim',
  about: `the own work of a claim where ${registered} devices are registered`,
  withoutImage: true,
  async run({ workplace, runs, most, say }) {
    const count = Math.min(registered, most)
    const folder = join(workplace.root, 'claims')
    await mkdir(folder)
    const fleet = new ClaimFleet(folder, claimsEach * runs)
    fleet.lot(
      '0123456789abcdef',
      fleet.otps.map((_, index) => index + 1),
    )
    say(`registering ${count} devices`)
    fleet.db.exec(`INSERT INTO devices
      WITH RECURSIVE n(i) AS (SELECT 1000001 UNION ALL SELECT i + 1 FROM n WHERE i < ${1_000_000 + count})
      SELECT i, 'birds', i, 'fleetsie_birds', 'birds-' || i, printf('06:00:00:%02x:%02x:%02x', i >> 16, i >> 8 & 255, i & 255),
        'sha256:' || lower(hex(randomblob(32))), 1, 2, i, '', '', hex(randomblob(40)), '', '192.0.2.7' FROM n`)
    // Each claim is a process of its own, which is mostly the only one that has the database open.
    fleet.db.close()
    await writeFile(fleet.places.authorizedKeys, keyLines(), { mode: 0o600 })
    const samples: Sample[] = []
    const medians: number[] = []
    let next = 0
    for (let run = 0; run < runs; run++) {
      const walls: number[] = []
      for (let claim = 0; claim < claimsEach; claim++) {
        const said = ourForm(next + 1, fleet.otps[next]!, newKey())
        next++
        const started = performance.now()
        const answer = fleet.ask(said, '0123456789abcdef')
        walls.push(performance.now() - started)
        if (!answer.startsWith('Ok\n')) throw new Error(`a claim got ${answer}`)
      }
      walls.sort((a, b) => a - b)
      medians.push(walls[claimsEach >> 1]!)
      samples.push({ wall: walls[Math.ceil(claimsEach * 0.99) - 1]!, stdout: '' })
    }
    const subject = { command: 'fleetsie_auth', args: ['birds', '0123456789abcdef'], cwd: folder, env: {} }
    const half = medians.map((wall) => wall.toFixed(1)).join(', ')
    return [
      {
        name: 'fleet-claim, p99',
        ours: figures({ subject, samples }),
        goal: { of: 'wall', atMost: 20 },
        about: `of ${claimsEach} claims each, without the start of the process, ${count} devices registered; p50 ${half} ms`,
      },
    ]
  },
}

function keyLines(): string {
  const key = newKey()
  const line = (index: number): string =>
    deviceLine({ fleet: 'birds', hostname: `birds-${index}`, port: 20_000 + index, key })
  return Array.from({ length: lines }, (_, index) => `${line(index + 1)}\n`).join('')
}
