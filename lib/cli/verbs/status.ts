/** `status`: what is mounted, what differs from the stock image, what git lacks, and how old the last save is. */
import { deskChanges } from '../../images/desk/changes.ts'
import { deskState } from '../../images/desk/state.ts'
import { readPartitionTable } from '../../images/partitions.ts'
import { findDesk } from '../desk/find.ts'
import { atDesk, partsOf, takeDown, takeInAll } from '../desk/mounting.ts'
import { overlaysDigest } from '../desk/overlays-digest.ts'
import { type Picture, pictureOf } from '../desk/picture.ts'
import { readImageRecord } from '../desk/record.ts'
import type { Session } from '../session.ts'

export async function status(session: Session, options: { json?: boolean }): Promise<void> {
  await session.show({ json: options.json })
  const place = await findDesk(process.cwd())
  const picture = await atDesk(session, place, async (desk): Promise<Picture> => {
    const state = await deskState(place.folder)
    // git is asked about overlays/: what was changed at the desk has to be there first.
    if (state.is === 'mounted') await takeInAll(desk, state.record.parts)
    if (state.is === 'stale') await takeDown(desk, state)
    const table = await readPartitionTable(place.disk)
    const mounted = state.is === 'mounted' ? state.record.form : undefined
    const store = await session.openStore()
    const { from, saved } = await readImageRecord(place)
    const overlays = await overlaysDigest(place.folder, store)
    return {
      image: place.image,
      table,
      from: from?.source,
      mounted,
      changes: await deskChanges(desk, partsOf(table, mounted ?? 'kernel')),
      saved: saved.flatMap(({ path, done }) =>
        done ? [{ path, at: done.at, current: done.overlays === overlays }] : [],
      ),
    }
  })
  session.emit({ type: 'answer', text: pictureOf(picture, Date.now()), data: picture })
}
