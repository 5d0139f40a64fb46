/** Which image `updatesd` writes: a file, or what a target of pipeline.ts or the desk makes. */
import { stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve, sep } from 'node:path'
import { Build } from '../../engine/build.ts'
import { inputsOf, topological } from '../../engine/graph.ts'
import { nodesOf } from '../../engine/nodes.ts'
import type { Run } from '../../engine/process.ts'
import type { Derivation } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { openImageFile, openSavedImage } from '../../images/cards/image.ts'
import type { DiskImage } from '../../images/flash/types.ts'
import { diskName } from '../../images/image.ts'
import { type DeskPlace, findDesk } from '../desk/find.ts'
import type { Session } from '../session.ts'
import { sourceDateEpoch } from '../source-date-epoch.ts'
import { chooseTargets } from '../targets.ts'

/** A file as it is, or the object that `save` made; `stock`: the raw image that it was made of. */
export type ImagePlace = { file: string } | { object: string; stock?: string }

/** Where it lies. */
export function fileOf(place: ImagePlace): string {
  return 'file' in place ? place.file : place.object
}

export function openImage(session: Session, place: ImagePlace, run: Run, tmp: string): Promise<DiskImage> {
  const options = { run, tmp, jobs: availableParallelism(), signal: session.signal }
  if ('object' in place) return openSavedImage(place.object, options)
  const note = (message: string): void => session.emit({ type: 'note', message })
  return openImageFile(place.file, { ...options, note })
}

/** Finds or makes the image, and its stock where that is asked for. Fails with E_USAGE when nothing says which. */
export async function findImage(
  session: Session,
  wanted: string | undefined,
  withStock = false,
): Promise<ImagePlace> {
  const { project } = session
  if (wanted !== undefined) {
    if (project && Object.hasOwn(project.targets, wanted)) return makeTarget(session, wanted, withStock)
    const file = resolve(wanted)
    if ((await stat(file).catch(() => undefined))?.isFile()) return { file }
    const targets = project ? ` and no target (${Object.keys(project.targets).join(', ')})` : ''
    throw new FleetsieError('E_USAGE', `--image ${wanted}: there is no such file${targets}`)
  }
  const desk = await nearestDesk(project?.cwd)
  if (desk) {
    const { deskImage } = await import('./desk-image.ts')
    return { object: await deskImage(session, desk) }
  }
  if (project) return makeTarget(session, undefined, withStock)
  throw new FleetsieError('E_USAGE', 'which image? There is no desk and no pipeline.ts here', {
    hint: '--image FILE names one',
  })
}

/** Of this folder or one above it, but not above the project's. */
async function nearestDesk(project: string | undefined): Promise<DeskPlace | undefined> {
  try {
    const desk = await findDesk(process.cwd())
    const inside = project === undefined || `${desk.folder}${sep}`.startsWith(`${project}${sep}`)
    return inside ? desk : undefined
  } catch (error) {
    if (error instanceof FleetsieError && error.code === 'E_USAGE') return undefined
    throw error
  }
}

async function makeTarget(
  session: Session,
  wanted: string | undefined,
  withStock: boolean,
): Promise<ImagePlace> {
  const project = session.requireProject()
  const [target] = chooseTargets(project.targets, wanted === undefined ? [] : [wanted])
  const { name, root } = target!
  const saved = savedBy(root, name)
  const build = new Build({
    store: await session.openStore(),
    emit: session.emit,
    cwd: project.cwd,
    signal: session.signal,
    ...sourceDateEpoch(process.env),
  })
  const nodes = nodesOf(name, root)
  try {
    const object = (await build.realise(nodes, saved)).path
    const image = inputsOf(saved).find(({ label }) => label === 'image')
    if (!withStock || !image) return { object }
    return { object, stock: join((await build.realise(nodes, image.derivation)).path, diskName) }
  } finally {
    build.end(name, nodes)
  }
}

/** The last `save` of a target, behind whatever signs, publishes or writes its result. */
function savedBy(root: Derivation, name: string): Derivation {
  const saved = topological(root).findLast(({ stage }) => stage.name === 'save')
  if (saved) return saved
  throw new FleetsieError('E_USAGE', `the target ${name} saves no image`, {
    hint: 'name another one by --image; `save` makes images',
  })
}
