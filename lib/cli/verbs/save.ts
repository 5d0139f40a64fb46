/** `save`: a new .img.xz with the changes of the desk, by the same stages as `build`. */
import { relative } from 'node:path'
import { sign } from '../../../stages/sign.ts'
import { buildTarget } from '../../engine/target.ts'
import { findSigningKey } from '../../images/signing/signing-key.ts'
import { allowedKeys } from '../desk/allowed-keys.ts'
import { findDesk } from '../desk/find.ts'
import { atDesk, expectMounted, isSome, takeInAll, toldTaken } from '../desk/mounting.ts'
import { overlaysDigest } from '../desk/overlays-digest.ts'
import { readImageRecord, writeImageRecord } from '../desk/record.ts'
import { expectOwn, savedName } from '../desk/saved-name.ts'
import { deskBuild, savedBy, targetOf } from '../desk/stages.ts'
import { expectNoWriters } from '../desk/writers.ts'
import type { Session } from '../session.ts'

/** Images that the record of a desk remembers. */
const remembered = 50

export async function save(
  session: Session,
  given: string | undefined,
  options: { json?: boolean; allowPrivateKey?: string[] },
): Promise<void> {
  await session.show({ json: options.json })
  const place = await findDesk(process.cwd())
  const wanted = savedName(place, given, process.cwd())
  await atDesk(session, place, async (desk) => {
    const { parts } = await expectMounted(desk)
    const record = await readImageRecord(place)
    const key = await findSigningKey(process.env)
    await expectOwn(wanted, place, record, key?.chain.at(-1)?.toString())
    await expectNoWriters(place.folder)
    const taken = await takeInAll(desk, parts)
    if (isSome(taken)) desk.note(toldTaken(taken))
    await session.show({ json: options.json, live: true })
    const store = await session.openStore()
    const name = targetOf(place)
    const usual = wanted.stem === `${name}_fleetsie`
    const keys = await allowedKeys(place, options.allowPrivateKey ?? [], process.cwd())
    const done = {
      overlays: await overlaysDigest(place.folder, store),
      at: Date.now(),
      ...(keys.length > 0 && { allowedKeys: keys }),
    }
    const path = relative(place.folder, wanted.path)
    const earlier = record.saved.find((saved) => saved.path === path) ?? { path }
    const others = record.saved.filter((saved) => saved.path !== path).slice(0, remembered - 1)
    // First: what is killed after the file has its name may be saved again.
    await writeImageRecord(place, { ...record, saved: [earlier, ...others] })
    const artifacts = await savedBy(place, store, desk.note, {
      stem: usual ? undefined : wanted.stem,
      allowedKeys: keys,
    })
    const out = relative(place.folder, wanted.folder) || '.'
    const build = deskBuild(session, store, place.folder)
    const target = usual ? name : wanted.stem
    const made = await buildTarget(build, target, sign({ artifacts, out }))
    await writeImageRecord(place, { ...record, saved: [{ path, done }, ...others] })
    session.emit({ type: 'artifacts', target, artifacts: made })
  })
}
