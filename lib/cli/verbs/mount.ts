/** `mount`: the desk's image with the changes of overlays/, each partition writable at part_N. */

import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { setUpRepository } from '../../images/desk/repository.ts'
import { readPartitionTable } from '../../images/partitions.ts'
import { type DeskPlace, findDesk } from '../desk/find.ts'
import { atDesk, clearAway, putUp } from '../desk/mounting.ts'
import { linkImage } from '../desk/place-image.ts'
import { showMounted } from '../desk/show.ts'
import type { Session } from '../session.ts'

export async function mount(
  session: Session,
  given: string | undefined,
  options: { json?: boolean },
): Promise<void> {
  await session.show({ json: options.json })
  const place = given === undefined ? await findDesk(process.cwd()) : await imageHere(given)
  await atDesk(session, place, async (desk) => {
    await clearAway(desk)
    if (given !== undefined) {
      // What is no image does not become the desk's.
      await readPartitionTable(place.disk)
      await linkImage(place)
    }
    await setUpRepository(desk, place.image)
    showMounted(session, place, await putUp(desk))
  })
}

/** An image of this folder. Fails with E_USAGE for one that is elsewhere, E_INPUT when it is not there. */
async function imageHere(given: string): Promise<DeskPlace> {
  const folder = process.cwd()
  const image = basename(given)
  const disk = join(folder, image)
  if (resolve(folder, given) !== disk) {
    throw new FleetsieError('E_USAGE', 'an image is mounted in the folder that it is in', {
      file: given,
      hint: `go to its folder first; a stock image is brought here by: fleetsie_mod init ${given}`,
    })
  }
  const found = await stat(disk).catch(() => undefined)
  if (!found?.isFile()) {
    throw new FleetsieError('E_INPUT', 'there is no such image here', {
      file: given,
      hint: 'fleetsie_mod init PATH/OSNAME.img.xz makes OSNAME.img',
    })
  }
  return { folder, image, disk }
}
