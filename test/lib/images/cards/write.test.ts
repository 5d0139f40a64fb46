/** What becomes of a card that is written while something else goes wrong. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { inspectCard } from '../../../../lib/images/cards/inspect.ts'
import { writeCards } from '../../../../lib/images/cards/write.ts'
import type { Receipt } from '../../../../lib/images/flash/receipt.ts'
import { identifyCard } from '../../../../lib/images/flash/receipt-identity.ts'
import { openTarget } from '../../../../lib/images/flash/target.ts'
import { needs } from '../../../helpers/needs.ts'
import { FlashRig, run } from '../flash/flash-rig.ts'

let rig: FlashRig
before(() => {
  rig = new FlashRig()
})
after(() => rig.remove())

test('a card that was written when the user ended the work is written: its row is not for the next one', {
  skip: needs('xz', 'sfdisk', 'flock'),
}, async (t) => {
  const image = await rig.open(t, { manifest: true })
  const path = rig.card('card.img', 'image')
  const target = await openTarget(path, { run })
  t.after(() => target.close())
  const info = await inspectCard(path, { cwd: rig.folder, role: 'disk' })
  const user = new AbortController()
  // Asked for when the image and the device's values are on the card, and its receipt is about to be made.
  const receipt = {
    get changed() {
      user.abort(new Error('SIGINT'))
      return []
    },
  } as unknown as Receipt
  const known = { held: undefined, why: 'new', sampled: 0, claimed: undefined, receipt }
  const card = {
    ...{ name: 'card', role: 'disk' as const, infos: [info], targets: [target] },
    ...{
      areas: [{ image: { offset: 0, length: image.size }, target }],
      identity: await identifyCard([info]),
    },
    ...known,
  }
  const warnings: string[] = []
  const [result] = await writeCards({
    ...{ image, works: [{ card }], full: false, env: { XDG_CACHE_HOME: rig.path('cache') }, run },
    signal: user.signal,
    progress: () => {},
    warn: (line) => warnings.push(line),
  })
  assert.ok(user.signal.aborted)
  assert.ok('written' in result!, String('error' in result! && result.error))
  assert.match(warnings.join(), /no receipt could be left/)
  assert.ok(
    result.written.bytesCompared > 0 && result.written.ms.comparing > 0,
    'reading the card takes time',
  )
})
