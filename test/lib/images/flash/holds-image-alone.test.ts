/** When a card whose receipt is believed need not be asked for an owner. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { holdsImageAlone } from '../../../../lib/images/flash/receipt-trust.ts'
import type { Area, Held } from '../../../../lib/images/flash/types.ts'

const MiB = 1024 * 1024
const image = { size: 3 * MiB }
const areas = [{ image: { offset: 0, length: image.size } }] as unknown as Area[]
const sum = 'a'.repeat(64)

const table: [title: string, held: Omit<Held, 'how'>, alone: boolean][] = [
  [
    'holds the image alone when all that was written is known',
    { chunks: [sum, null, undefined], covers: [{ offset: 0, length: 2 * MiB }] },
    true,
  ],
  [
    'may hold values of a device where no digest was kept of what was written',
    { chunks: [sum, undefined, sum], covers: [{ offset: 0, length: 3 * MiB }] },
    false,
  ],
  ['says nothing when nothing is known to have been written', { chunks: [sum, sum, sum], covers: [] }, false],
]

describe('a believed card', () => {
  for (const [title, held, alone] of table) {
    it(title, () => assert.equal(holdsImageAlone({ ...held, how: 'receipt' }, areas, image), alone))
  }
})
