import assert from 'node:assert/strict'
import { chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readState, writeState } from '../../../../lib/images/save/working-state.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { openStore, temporaryFolder } from '../../../helpers/store.ts'

test('under sudo the store’s owner gets the working image, and it does not look changed', {
  skip: needsRoot,
}, async (t) => {
  const folder = join(temporaryFolder(t), 'store')
  mkdirSync(folder)
  chownSync(folder, 65534, 65534)
  const { store } = await openStore(t, folder)
  const carrier = { stage: 'save', onWait: () => assert.fail() }
  const state = { sound: [2], sums: [], grown: { pieces: [], chunks: [] } }
  await store.carry('a', carrier, async (files) => {
    writeFileSync(join(files, 'disk.img'), 'image')
    await writeState(files, ['disk.img'], state)
    const disk = statSync(join(files, 'disk.img'), { bigint: true })
    // A later change has a later time from here on.
    do writeFileSync(join(files, 'clock'), '')
    while (statSync(join(files, 'clock'), { bigint: true }).ctimeNs === disk.ctimeNs)
  })
  await store.carry('a', carrier, async (files) => {
    assert.equal(statSync(join(files, 'disk.img')).uid, 65534)
    assert.deepEqual(await readState(files, ['disk.img']), state)
  })
})
