/** The desk's image with the desk's changes, made as `save` makes it. */
import type { DeskPlace } from '../desk/find.ts'
import { atDesk, expectMounted, takeInAll } from '../desk/mounting.ts'
import { readImageRecord } from '../desk/record.ts'
import { deskBuild, realiseAll, savedBy, targetOf } from '../desk/stages.ts'
import { expectNoWriters } from '../desk/writers.ts'
import type { Session } from '../session.ts'

/** The object with the image. Fails with E_USAGE when the desk is not mounted, as documented. */
export function deskImage(session: Session, place: DeskPlace): Promise<string> {
  return atDesk(session, place, async (desk) => {
    const { parts } = await expectMounted(desk)
    await expectNoWriters(place.folder)
    await takeInAll(desk, parts)
    const store = await session.openStore()
    const name = targetOf(place)
    // What the user let into the last saved image may go onto a card as well.
    const last = (await readImageRecord(place)).saved[0]
    const saved = await savedBy(place, store, desk.note, { allowedKeys: last?.done?.allowedKeys ?? [] })
    const [object] = await realiseAll(deskBuild(session, store, place.folder), name, saved, [saved])
    return object!.path
  })
}
