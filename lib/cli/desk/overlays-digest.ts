/** What `overlays/` holds, as one digest: tells whether an image was saved before or after a change. */
import { sha256Hex } from '../../engine/canonical.ts'
import type { Store } from '../../engine/store/store.ts'
import { overlaySources } from '../../images/overlay/sources.ts'
import { overlayLayers, overlaysName } from './stages.ts'

export async function overlaysDigest(folder: string, store: Store): Promise<string> {
  const host = { cwd: folder, sha256: (file: string) => store.sha256(file), note: () => {} }
  const some = (await overlayLayers(folder)).length > 0
  const sources = some ? await overlaySources({ from: overlaysName }, host) : []
  return sha256Hex(
    JSON.stringify(
      sources.map((source) => (source.type === 'file' ? { ...source, from: undefined } : source)),
    ),
  )
}
