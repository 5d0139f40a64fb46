/** A short digest of all that decides how an entry is laid out: the same twice, nothing has to be written again. */
import { createHash } from 'node:crypto'
import type { Attributes, Kind } from './nodes.ts'

export interface Laid {
  kind: Kind | 'whiteout'
  attributes?: Attributes
  /** Of a file: the sha256 of its content. Of a link: where it leads. */
  content?: string
  device?: { major: number; minor: number }
  opaque?: boolean
}

export function signOf({ kind, attributes, content = '', device, opaque = false }: Laid): string {
  const hash = createHash('sha256').update(
    JSON.stringify([kind, content, device?.major, device?.minor, opaque]),
  )
  if (attributes) {
    const { mode, uid, gid, xattrs } = attributes
    const named = [...xattrs].map(([name, value]) => [name, value.toString('base64')])
    hash.update(JSON.stringify([mode, uid, gid, named.sort()]))
  }
  return hash.digest('hex').slice(0, 32)
}
