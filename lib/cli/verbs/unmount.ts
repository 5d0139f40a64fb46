/** `unmount`: the changes go to overlays/, then all that was mounted goes away. */
import { deskState } from '../../images/desk/state.ts'
import { findMounted } from '../desk/find.ts'
import { atDesk, notMounted, takeDown, toldTaken } from '../desk/mounting.ts'
import type { Session } from '../session.ts'

export async function unmount(session: Session, options: { json?: boolean }): Promise<void> {
  await session.show({ json: options.json })
  const place = await findMounted(process.cwd())
  await atDesk(session, place, async (desk) => {
    const state = await deskState(place.folder)
    if (state.is === 'unmounted') throw notMounted()
    const taken = await takeDown(desk, state)
    const text = `unmounted ${place.image}; ${toldTaken(taken)}`
    session.emit({ type: 'answer', text, data: { image: place.image, ...taken } })
  })
}
