/** What overlays/ has to hold for one file of `.new_N`. */
import type { Baseline, Held } from './baseline.ts'
import type { Found } from './differences.ts'
import type { LineEdit } from './mtree-lines.ts'
import { type Attributes, defaultFile, defaultFolder, type Kind, sameAttributes } from './nodes.ts'
import { editFor, heldAs } from './said.ts'
import { signOf } from './sign.ts'
import type { Stock } from './stock.ts'
import type { UpperRead } from './upper-read.ts'

export interface FileBody {
  type: 'file'
  sha256: string
  program: boolean
  mode: number
  size: number
  /** Where the content waits. */
  temp: string
}

export interface Wanted {
  body?: FileBody | { type: 'symlink'; target: string }
  whiteout?: true
  opaque?: true
  /** 'as it is': what the mtree file says, or does not say, is true already. */
  line: LineEdit | 'as it is' | undefined
  /** For the baseline. */
  sign: string
}

/** One name in overlays/ that concerns a path of `.new_N`. */
export interface HeldAt {
  path: string
  held: Held
}

export interface Comparing {
  stock: Stock
  baseline: Baseline
  /** By path in `.new_N`: the last one is what counts. */
  heldAt: ReadonlyMap<string, HeldAt[]>
}

export const nothing: Wanted = { line: undefined, sign: '' }

/** What was there by overlays/ and stock when the baseline was made. */
function before(found: Found, { stock, heldAt }: Comparing) {
  const held = heldAt.get(found.node.path)?.at(-1)?.held
  const own = held && heldAs(held)
  if (own) return own
  if (found.lower === 0 || held?.whiteout) return undefined
  const { type } = stock.node(found.lower)
  return type === 'socket' ? undefined : { kind: type as Kind, attributes: stock.attributes(found.lower) }
}

/** The attributes that count: where the upper folder cannot keep owners, those said before stay. */
export function attributesOf(found: Found, read: Attributes, comparing: Comparing): Attributes {
  const { kind, mode } = found.node
  if (comparing.stock.fat) return kind === 'directory' ? defaultFolder : defaultFile('file', false)
  if (comparing.baseline.form.owners) return read
  const was = before(found, comparing)
  const isUser = (name: string): boolean => name.startsWith('user.')
  const told = was?.kind === kind ? was.attributes : defaultFolder
  return {
    mode: kind === 'symlink' ? 0o777 : mode,
    uid: told.uid,
    gid: told.gid,
    xattrs: new Map([
      ...[...told.xattrs].filter(([name]) => !isUser(name)),
      ...[...read.xattrs].filter(([name]) => isUser(name)),
    ]),
  }
}

/** Of all but folders and files: a link, a device, a fifo. */
export function wantedOther(found: Found, read: UpperRead, comparing: Comparing): Wanted {
  const { stock } = comparing
  const { lower, node } = found
  const kind = node.kind as 'symlink' | 'character' | 'block' | 'fifo'
  const attributes = attributesOf(found, read.attributes, comparing)
  if (lower !== 0 && stock.node(lower).type === kind && sameAttributes(attributes, stock.attributes(lower))) {
    const device = stock.device(lower)
    if (kind === 'symlink' && stock.target(lower) === read.target) return nothing
    if (kind === 'fifo') return nothing
    if (node.device && device?.major === node.device.major && device.minor === node.device.minor)
      return nothing
  }
  const { target } = read
  const sign = signOf({
    kind,
    attributes,
    ...(kind === 'symlink' && { content: target }),
    ...(node.device && { device: node.device }),
  })
  if (kind !== 'symlink') {
    return { line: editFor(kind, attributes, undefined, node.device), sign }
  }
  const base = defaultFile('symlink', false)
  const line = sameAttributes(attributes, base) ? undefined : editFor(kind, attributes, base, undefined)
  return { body: { type: 'symlink', target }, line, sign }
}

/** `isStock`: the stock has just this content there. */
export function wantedFile(
  found: Found,
  read: Attributes,
  content: { sha256: string; size: number; temp: string },
  isStock: boolean,
  comparing: Comparing,
): Wanted {
  const { stock, heldAt } = comparing
  const attributes = attributesOf(found, read, comparing)
  if (isStock && sameAttributes(attributes, stock.attributes(found.lower))) return nothing
  const held = heldAt.get(found.node.path)?.at(-1)?.held
  const program = stock.fat
    ? held?.body?.type === 'file' && held.body.program
    : (attributes.mode & 0o100) !== 0
  const base = stock.fat ? attributes : defaultFile('file', program)
  const was = held?.body?.type === 'file' ? heldAs(held)!.attributes : base
  const isTrue = sameAttributes(attributes, was) || stock.fat
  const line =
    isTrue && (held?.body?.type === 'file' || !held?.line)
      ? 'as it is'
      : sameAttributes(attributes, base)
        ? undefined
        : editFor('file', attributes, base, undefined)
  return {
    body: { type: 'file', program, mode: modeInOverlay(attributes.mode, program), ...content },
    line,
    sign: signOf({ kind: 'file', attributes, content: content.sha256 }),
  }
}

/** What nobody else may read in the image, nobody else may read here. git keeps no more of it than `program`. */
const modeInOverlay = (mode: number, program: boolean): number =>
  0o600 | (mode & 0o044) | (program ? 0o100 | (mode & 0o011) : 0)

export function wantedFolder(found: Found, read: Attributes, comparing: Comparing): Wanted {
  const { stock, heldAt } = comparing
  const { lower, node, opaque } = found
  const attributes = attributesOf(found, read, comparing)
  const type = lower === 0 ? undefined : stock.node(lower).type
  const names = heldAt.get(node.path)
  const whiteout = names?.some(({ held }) => held.whiteout)
  const held = names?.findLast(({ held: { line, body } }) => line || body)?.held
  // Either mark hides what the stock has; the one that is there stays.
  const hides = type === 'directory' && opaque ? (whiteout ? 'whiteout' : 'opaque') : undefined
  const replaces = type !== undefined && type !== 'directory'
  const base = type === 'directory' && hides !== 'whiteout' ? stock.attributes(lower) : defaultFolder
  const said = held && heldAs(held)
  const was = said?.kind === 'directory' ? said.attributes : base
  const isOther = said !== undefined && said.kind !== 'directory'
  const line =
    sameAttributes(attributes, was) && !isOther
      ? 'as it is'
      : sameAttributes(attributes, base)
        ? undefined
        : editFor('directory', attributes, defaultFolder, undefined)
  return {
    ...((replaces || hides === 'whiteout') && { whiteout: true }),
    ...(hides === 'opaque' && { opaque: true }),
    line,
    sign: signOf({ kind: 'directory', attributes, opaque: opaque || type !== 'directory' }),
  }
}
