import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diskCsvHeader, diskCsvRow, diskLine, diskTableHeader } from '../../../../lib/cli/fleet/disk-lines.ts'
import type { ListedDisk } from '../../../../lib/fleet/server/protocol.ts'

const day = 86_400
const now = Date.UTC(2026, 10, 20) / 1000
const disk = { lot: 'ce320a6c21ba38fa', generated: now - day, devices: 4, unclaimed: 3 }
const both = { expires: null, revoked: null }

const rows: [title: string, disk: ListedDisk, line: string, csv: string][] = [
  [
    'for ever',
    { ...disk, ...both },
    'live     2026-11-19  for ever      3 of 4',
    'live,2026-11-19T00:00:00Z,,,4,3',
  ],
  [
    'for a day more',
    { ...disk, ...both, expires: now + day },
    'live     2026-11-19  2026-11-21    3 of 4',
    'live,2026-11-19T00:00:00Z,2026-11-21T00:00:00Z,,4,3',
  ],
  [
    'no more since this second',
    { ...disk, ...both, expires: now },
    'expired  2026-11-19  2026-11-20    3 of 4',
    'expired,2026-11-19T00:00:00Z,2026-11-20T00:00:00Z,,4,3',
  ],
  [
    'no more, for it was revoked before it expired',
    { ...disk, expires: now + day, revoked: now },
    'revoked  2026-11-19  2026-11-20    3 of 4',
    'revoked,2026-11-19T00:00:00Z,2026-11-21T00:00:00Z,2026-11-20T00:00:00Z,4,3',
  ],
]
for (const [title, listed, line, csv] of rows) {
  test(`a disk claims ${title}`, () => {
    assert.equal(diskLine(listed, now), `ce320a6c21ba38fa  ${line}`)
    assert.equal(diskCsvRow(listed, now), `ce320a6c21ba38fa,${csv}`)
    assert.equal(diskCsvRow(listed, now).split(',').length, diskCsvHeader.split(',').length)
    assert.equal(diskTableHeader.indexOf('state'), diskLine(listed, now).search(/live|expired|revoked/))
  })
}
