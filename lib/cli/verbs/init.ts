/** `init`: a stock image becomes a desk: OSNAME.img, `.image`, overlays/ in git, and all of it mounted. */
import { join } from 'node:path'
import { setUpRepository } from '../../images/desk/repository.ts'
import { readTable } from '../../images/partition-table.ts'
import type { DeskPlace } from '../desk/find.ts'
import { atDesk, clearAway, putUp } from '../desk/mounting.ts'
import { linkImage, placeImage } from '../desk/place-image.ts'
import { readImageRecord, writeImageRecord } from '../desk/record.ts'
import { showImage, showMounted } from '../desk/show.ts'
import { fetchOf, imageNameOf, sourceOf } from '../desk/source.ts'
import { deskBuild, realiseAll, stagesOf, targetOf } from '../desk/stages.ts'
import type { Session } from '../session.ts'

export async function init(
  session: Session,
  given: string,
  options: { json?: boolean; sha256?: string },
): Promise<void> {
  await session.show({ json: options.json, live: true })
  const folder = process.cwd()
  const store = await session.openStore()
  const source = await sourceOf(given, options.sha256, folder, store)
  const image = imageNameOf(source)
  const place: DeskPlace = { folder, image, disk: join(folder, image) }
  await atDesk(session, place, async (desk) => {
    await clearAway(desk)
    const stages = stagesOf(fetchOf(source, folder))
    const build = deskBuild(session, store, folder)
    const [stock, object, table] = await realiseAll(build, targetOf(place), stages.table, [
      stages.stock,
      stages.image,
      stages.table,
    ])
    // Beside the root that `save` sets: what an image is made of is wanted for as long as the desk is.
    store.setRoot(`${build.targetId(targetOf(place))} stock`, [stock!.digest, object!.digest], folder)
    const made = await placeImage(place, object!.path, { run: desk.run, signal: session.signal })
    const record = await readImageRecord(place)
    await writeImageRecord(place, { ...record, from: { source, object: stock!.digest } })
    await linkImage(place)
    showImage(session, place, await readTable(table!.path), made)
    await setUpRepository(desk, image)
    showMounted(session, place, await putUp(desk))
    desk.note(
      'change files in part_N; `fleetsie_mod save` makes an image of them, `fleetsie_mod status` tells where you are',
    )
  })
}
