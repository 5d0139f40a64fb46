import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import { readBack } from '../../../../lib/images/cards/read-back.ts'
import { openTarget } from '../../../../lib/images/flash/target.ts'
import type { Target } from '../../../../lib/images/flash/types.ts'
import { MiB } from '../../../helpers/disks.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-read-back-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const ranges = [
  { offset: 1000, length: 5 },
  { offset: MiB + 512, length: 2 * MiB + 7 },
]

/** A card whose medium holds another byte than was written, at `wrong`. */
async function cardWith(wrong: number | undefined): Promise<Target> {
  const path = join(folder, 'card')
  writeFileSync(path, Buffer.alloc(4 * MiB, 'written'))
  const target = await openTarget(path, { run: runner({ home: folder }) })
  const { id, kind, size, readOnly, direct } = target
  return {
    ...{ path, id, kind, size, readOnly, direct },
    read: async (buffer, at) => {
      await target.read(buffer, at)
      if (wrong !== undefined && at <= wrong && wrong < at + buffer.length) buffer[wrong - at]! ^= 1
    },
    write: (buffer, at) => target.write(buffer, at),
    flush: () => target.flush(),
    forget: () => target.forget(),
    close: () => target.close(),
  }
}

for (const [title, wrong, found] of [
  ['a card that holds what was written', undefined, false],
  ['a byte that is another', 3 * MiB + 518, true],
  ['a byte that nobody has written', 3 * MiB + 519, false],
] as const) {
  test(`${title} ${found ? 'is found' : 'passes'}`, async (t) => {
    const target = await cardWith(wrong)
    t.after(() => target.close())
    const bytes = readBack([target], [{ path: target.path, ranges }])
    if (found)
      await assert.rejects(bytes, { code: 'E_VERIFY', message: /of the 7 bytes from byte 3146240 on/ })
    else assert.equal(await bytes, 2 * MiB + 12)
  })
}
