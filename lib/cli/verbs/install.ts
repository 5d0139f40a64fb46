/** `install`: fleetsie_provision and its service, written into the mounted image. */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { install as installStage } from '../../../stages/install.ts'
import { FleetsieError } from '../../errors.ts'
import { type OsType, osTypes } from '../../images/os/recipes.ts'
import { partNumber } from '../../images/overlay/parts.ts'
import { findDesk } from '../desk/find.ts'
import { atDesk, expectMounted, takeInAll } from '../desk/mounting.ts'
import { deskBuild, realiseAll, stagesOf, stockOf, targetOf } from '../desk/stages.ts'
import { writeLayerInto } from '../desk/write-layer-into.ts'
import type { Session } from '../session.ts'

export async function install(session: Session, given: string, options: { json?: boolean }): Promise<void> {
  await session.show({ json: options.json })
  const os = osTypeOf(given)
  const place = await findDesk(process.cwd())
  await atDesk(session, place, async (desk) => {
    const { parts } = await expectMounted(desk)
    await session.show({ json: options.json, live: true })
    const store = await session.openStore()
    const { image } = stagesOf(await stockOf(place, store, desk.note))
    const stage = installStage({ image, os })
    const build = deskBuild(session, store, place.folder)
    const [object] = await realiseAll(build, targetOf(place), stage, [stage])
    const written: string[] = []
    for (const name of await readdir(object!.path)) {
      const part = parts.find(({ number }) => number === partNumber(name.replace(/\.tar$/, '')))
      if (!part) continue
      const paths = await writeLayerInto(join(place.folder, part.merged), join(object!.path, name))
      written.push(...paths.map((path) => `${part.merged}/${path}`))
    }
    await takeInAll(desk, parts)
    const text =
      written.length === 0
        ? `fleetsie for ${os} is there already: nothing changed`
        : [`installed fleetsie for ${os}:`, ...written.map((path) => `  ${path}`)].join('\n')
    session.emit({ type: 'answer', text, data: { os, written } })
  })
}

/** The first OSTYPE where none is given. Fails with E_USAGE and lists them. */
function osTypeOf(given: string): OsType {
  if (given === '') return osTypes[0]
  const found = osTypes.find((os) => os.toLowerCase() === given.toLowerCase())
  if (found) return found
  throw new FleetsieError('E_USAGE', `there is no OSTYPE ${JSON.stringify(given)}`, {
    hint: `one of ${osTypes.map((os) => JSON.stringify(os)).join(', ')}`,
  })
}
