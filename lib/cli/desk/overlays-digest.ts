/** What `overlays/` holds, as one digest: tells whether an image was saved before or after a change. */
import { sha256Hex } from '../../engine/canonical.ts'
import type { Store } from '../../engine/store/store.ts'
import { overlaySources } from '../../images/overlay/sources.ts'
import { hasChanges, overlaysName } from './stages.ts'

export async function overlaysDigest(folder: string, store: Store): Promise<string> {
  const host = { cwd: folder, sha256: (file: string) => store.sha256(file), note: () => {} }
  // Whether a private key may go into an image is for `save` to say.
  const options = { from: overlaysName, allowPrivateKeys: { includes: () => true } }
  const sources = (await hasChanges(folder)) ? await overlaySources(options, host) : []
  return sha256Hex(
    JSON.stringify(
      sources.map((source) => (source.type === 'file' ? { ...source, from: undefined } : source)),
    ),
  )
}
