import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sharedChunks } from '../../../../lib/images/diff/shared-blocks.ts'
import { MiB, missing, tool } from '../../../helpers/disks.ts'
import { Random } from '../../../helpers/random.ts'

const chunks = 12
const size = chunks * MiB
const cases: [title: string, block: number, edited: number[]][] = [
  ['blocks of a chunk', MiB, [3 * MiB]],
  ['blocks that end within chunks', 1.5 * MiB, [3 * MiB, 10.2 * MiB]],
  ['blocks of several chunks', 4 * MiB, [11 * MiB]],
  ['small blocks', MiB / 4, [5.1 * MiB, 5.9 * MiB]],
  ['all of it edited', 6 * MiB, [0, 7 * MiB]],
]
for (const [title, block, edited] of cases) {
  test(`${title}: a chunk is shared when no block in it differs`, { skip: missing('xz') }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'fleetsie-shared-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const bytes = new Random(title).bytes(size)
    const pack = (name: string): string => {
      writeFileSync(join(folder, name), bytes)
      tool('xz', ['-0', `--block-size=${block}`, join(folder, name)])
      return join(folder, `${name}.xz`)
    }
    const before = pack('before')
    for (const at of edited) bytes[Math.floor(at)]! ^= 1
    const after = pack('after')
    const dirty = new Set(edited.map((at) => Math.floor(at / block)))
    const expected = Array.from({ length: chunks }, (_, index) => index).filter((index) => {
      const [first, last] = [Math.floor((index * MiB) / block), Math.floor(((index + 1) * MiB - 1) / block)]
      return ![...dirty].some((one) => one >= first && one <= last)
    })
    assert.deepEqual(
      [...(await sharedChunks(after, before))].sort((a, b) => a - b),
      expected,
    )
  })
}
