/** What overlays/ and the stock say about a file, and what part_N.mtree has to add so that they say what is true. */
import type { MtreeEntry } from '../../formats/mtree.ts'
import type { Held, Line } from './baseline.ts'
import type { LineEdit } from './mtree-lines.ts'
import { type Attributes, defaultFile, defaultFolder, type Kind } from './nodes.ts'

export function lineOf({ type, mode, uid, gid, device, link, xattrs }: MtreeEntry): Line {
  return {
    ...(type !== undefined && { type }),
    ...(mode !== undefined && { mode }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(device && { device: { ...device } }),
    ...(link !== undefined && { link }),
    xattrs: [...xattrs].map(([name, value]) => [name, value.toString('base64')]),
  }
}

/** What a line makes of what git alone would say. */
function described(base: Attributes, line: Line | undefined): Attributes {
  if (!line) return base
  return {
    mode: line.mode ?? base.mode,
    uid: line.uid ?? base.uid,
    gid: line.gid ?? base.gid,
    xattrs: new Map(line.xattrs.map(([name, value]) => [name, Buffer.from(value, 'base64')])),
  }
}

/** The kind and attributes that overlays/ gives to a path by itself; nothing when it says nothing about it. */
export function heldAs({ body, line }: Held): { kind: Kind; attributes: Attributes } | undefined {
  if (body?.type === 'file' || body?.type === 'symlink') {
    const base = defaultFile(body.type, body.type === 'file' && body.program)
    return { kind: body.type, attributes: described(base, line) }
  }
  if (!line && !body) return undefined
  const kind = body?.type ?? line?.type ?? 'directory'
  return { kind, attributes: described(defaultFolder, line) }
}

/** A line that says all of `attributes`; `base` is what holds without one. */
export function editFor(
  kind: Kind,
  attributes: Attributes,
  base: Attributes | undefined,
  device: { major: number; minor: number } | undefined,
): LineEdit {
  const { mode, uid, gid } = attributes
  const xattrs = [...attributes.xattrs]
    .map(([name, value]): [string, string] => [name, value.toString('base64')])
    .sort(([a], [b]) => (a < b ? -1 : 1))
  // A file has to be in the folder: its line need not say what it is.
  const typed = kind === 'file' || kind === 'symlink' ? {} : { type: kind }
  return {
    said: {
      ...typed,
      ...(mode !== base?.mode && { mode }),
      ...(uid !== (base?.uid ?? 0) && { uid }),
      ...(gid !== (base?.gid ?? 0) && { gid }),
      ...(device && { device }),
      xattrs,
    },
    full: { type: kind, mode, uid, gid, ...(device && { device }), xattrs },
  }
}
