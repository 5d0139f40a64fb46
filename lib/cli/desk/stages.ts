/** The stages behind a desk: those of a pipeline.ts that has its `overlays/` and nothing else. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { decompress } from '../../../stages/decompress.ts'
import { fetch } from '../../../stages/fetch.ts'
import { mount } from '../../../stages/mount.ts'
import { overlay } from '../../../stages/overlay.ts'
import { save } from '../../../stages/save.ts'
import { Build } from '../../engine/build.ts'
import { nodesOf } from '../../engine/nodes.ts'
import type { Derivation, Digest } from '../../engine/stage.ts'
import type { Store } from '../../engine/store/store.ts'
import type { StoredObject } from '../../engine/store/types.ts'
import { fetchedFile } from '../../images/fetched-file.ts'
import { partNumber } from '../../images/overlay/parts.ts'
import type { Session } from '../session.ts'
import { sourceDateEpoch } from '../source-date-epoch.ts'
import type { DeskPlace } from './find.ts'
import { readImageRecord } from './record.ts'
import { fetchOf } from './source.ts'

export const overlaysName = 'overlays'

/** What is made of the downloaded file. */
export interface StockStages {
  stock: Derivation
  image: Derivation
  table: Derivation
}

export function stagesOf(stock: Derivation): StockStages {
  const image = decompress({ from: stock })
  return { stock, image, table: mount({ image }) }
}

/** The name under which a desk's image is built, and told by events. */
export function targetOf({ image }: Pick<DeskPlace, 'image'>): string {
  return image.replace(/\.img$/, '')
}

export function deskBuild(session: Session, store: Store, folder: string): Build {
  return new Build({
    store,
    emit: session.emit,
    cwd: folder,
    signal: session.signal,
    ...sourceDateEpoch(process.env),
  })
}

/** Makes these outputs exist, in their order. */
export async function realiseAll(
  build: Build,
  target: string,
  root: Derivation,
  wanted: readonly Derivation[],
): Promise<StoredObject[]> {
  const nodes = nodesOf(target, root)
  try {
    const objects: StoredObject[] = []
    for (const derivation of wanted) objects.push(await build.realise(nodes, derivation))
    return objects
  } finally {
    build.end(target, nodes)
  }
}

/**
 * The file that the desk's image was made of: where `init` had it from, else what the store kept of it, else the raw
 * image itself, of which every block is compressed anew.
 */
export async function stockOf(
  desk: DeskPlace,
  store: Store,
  note: (line: string) => void,
): Promise<Derivation> {
  const { from } = await readImageRecord(desk)
  if (from) {
    const { source, object: digest } = from
    if (source.type === 'url') return fetchOf(source, desk.folder)
    const found = await stat(source.path).catch(() => undefined)
    if (found?.isFile() && (await store.sha256(source.path)) === source.sha256)
      return fetchOf(source, desk.folder)
    const object = store.object(digest as Digest)
    if (object) return fetch({ file: (await fetchedFile(object.path)).file, sha256: source.sha256 })
    note(`${source.path} is no longer what ${desk.image} was made of: all of the image is compressed anew`)
  }
  return fetch({ file: desk.image })
}

/** A layer set of `overlays/`; none while no partition has changes. */
async function overlayLayers(folder: string, allowedKeys: readonly string[]): Promise<Derivation[]> {
  if (!(await hasChanges(folder))) return []
  const allowPrivateKeys = allowedKeys.length > 0 ? { allowPrivateKeys: [...allowedKeys] } : {}
  return [overlay({ from: overlaysName, ...allowPrivateKeys })]
}

/** Whether overlays/ has something for a partition. */
export async function hasChanges(folder: string): Promise<boolean> {
  const names = await readdir(join(folder, overlaysName)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return []
  })
  return names.some((name) => partNumber(name) !== undefined)
}

/**
 * The desk's image with the changes of `overlays/`. `stem`: see the stage `save`; `allowedKeys`: what `overlay` may take
 * although it holds a private key.
 */
export async function savedBy(
  desk: DeskPlace,
  store: Store,
  note: (line: string) => void,
  { stem, allowedKeys }: { stem?: string | undefined; allowedKeys: readonly string[] },
): Promise<Derivation> {
  const { stock, image, table } = stagesOf(await stockOf(desk, store, note))
  const layers = await overlayLayers(desk.folder, allowedKeys)
  return save({ stock, image, table, layers, name: targetOf(desk), ...(stem === undefined ? {} : { stem }) })
}
