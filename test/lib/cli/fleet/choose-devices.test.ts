import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Choice, chosenBy } from '../../../../lib/cli/fleet/choose-devices.ts'
import type { ListedDevice } from '../../../../lib/fleet/server/protocol.ts'

const states = ['online', 'claimed', 'unclaimed', 'revoked', 'online'] as const
const devices = states.map(
  (state, index): ListedDevice => ({
    ...{
      fleet: 'f',
      id_in_fleet: index + 8,
      hostname: `f-${index + 8}`,
      state,
      tunnel_port: null,
      hwid: null,
    },
    ...{ lot: null, generated: 1, claimed: null, revoked: null, claimed_from: null, seen: null },
    ...{ online: null, user: null },
  }),
)

const rows: [title: string, choice: Choice, shown: number[]][] = [
  ['nothing chosen shows all', {}, [8, 9, 10, 11, 12]],
  ['--online', { online: true }, [8, 12]],
  ['--away, which the table calls claimed', { away: true }, [9]],
  ['--unclaimed', { unclaimed: true }, [10]],
  ['--revoked', { revoked: true }, [11]],
  ['two states add up', { away: true, online: true }, [8, 9, 12]],
  ['a pattern narrows', { online: true, name: 'f-1*' }, [12]],
  ['a question mark is one character', { name: 'f-1?' }, [10, 11, 12]],
  ['what a pattern of regular expressions would be is not one', { name: 'f.1|(8)' }, []],
]
for (const [title, choice, shown] of rows) {
  test(title, () => {
    assert.deepEqual(
      devices.filter(chosenBy(choice)).map((device) => device.id_in_fleet),
      shown,
    )
  })
}
