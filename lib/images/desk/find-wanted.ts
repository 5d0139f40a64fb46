/** Reads what differs from the baseline, and finds what overlays/ has to hold for it. */
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { settle } from '../caller.ts'
import { partName } from '../replace-file.ts'
import { type Differences, type Found, findDifferences, isUnchanged } from './differences.ts'
import type { Attributes } from './nodes.ts'
import { upperPlace } from './places.ts'
import { signOf } from './sign.ts'
import { spoolContent } from './spool.ts'
import type { Desk } from './types.ts'
import { readUpper, type UpperRead } from './upper-read.ts'
import type { Scan, UpperNode } from './upper-scan.ts'
import { type Comparing, nothing, type Wanted, wantedFile, wantedFolder, wantedOther } from './wanted.ts'

/**
 * Fills `wanted`, by path in `.new_N`, for all that is not as the baseline has it. Contents of changed files are put
 * beside overlays/part_N; the caller removes what is not used, after a failure as well.
 */
export async function findWanted(
  desk: Desk,
  number: number,
  scan: Scan,
  comparing: Comparing,
  wanted: Map<string, Wanted>,
): Promise<Differences> {
  const { baseline, stock } = comparing
  const upper = upperPlace(number)
  const folders = new Map<string, { attributes: Attributes; opaque: boolean }>()
  // A folder's own notes come first: they say whether what the stock has in it still counts.
  const readFolders = (nodes: UpperNode[]) =>
    readUpper(desk, upper, nodes, async ({ path, attributes, opaque }) => {
      folders.set(path, { attributes, opaque: opaque || scan.nodes.get(path)?.marked === true })
    })
  const isNew = (node: UpperNode) => node.kind === 'directory' && !isUnchanged(node, node.path, baseline)
  await readFolders([...scan.nodes.values()].filter(isNew))
  const differences = findDifferences(
    scan,
    stock,
    baseline,
    (path) => folders.get(path)?.opaque ?? baseline.upper.get(path)?.opaque ?? false,
  )
  const changed = [...differences.found.values()].filter((found) => found.changed)
  const isFolder = ({ node }: Found): boolean => node.kind === 'directory'
  await readFolders(
    changed.filter((found) => isFolder(found) && !folders.has(found.node.path)).map(({ node }) => node),
  )
  for (const path of differences.gone) wanted.set(path, nothing)
  for (const found of changed) {
    const { kind, path } = found.node
    if (kind === 'whiteout')
      wanted.set(path, { whiteout: true, line: undefined, sign: signOf({ kind: 'whiteout' }) })
    if (isFolder(found)) wanted.set(path, wantedFolder(found, folders.get(path)!.attributes, comparing))
  }
  const toRead = changed.filter((found) => !isFolder(found) && found.node.kind !== 'whiteout')
  await readUpper(
    desk,
    upper,
    toRead.map(({ node }) => node),
    async (read) => {
      const found = differences.found.get(read.path)!
      const isFile = found.node.kind === 'file'
      const one = isFile
        ? await fileWanted(desk, number, found, read, comparing)
        : wantedOther(found, read, comparing)
      // Without a sign it is laid out anew.
      wanted.set(read.path, read.copied ? { ...one, sign: '' } : one)
    },
  )
  return differences
}

async function fileWanted(
  desk: Desk,
  number: number,
  found: Found,
  read: UpperRead,
  comparing: Comparing,
): Promise<Wanted> {
  const { stock } = comparing
  const { lower } = found
  const compare = lower !== 0 && stock.node(lower).type === 'file' ? stock.comparer(lower) : undefined
  const temp = join(desk.folder, 'overlays', partName())
  try {
    const { holdsKey, ...content } = await spoolContent(read.content, temp, compare)
    const isStock = compare?.same() ?? false
    const wanted = wantedFile(found, read.attributes, { ...content, temp }, isStock, comparing)
    if (wanted.body?.type !== 'file') {
      await unlink(temp)
      return wanted
    }
    await settle(temp, wanted.body.mode, desk.caller)
    if (holdsKey) {
      const name = `overlays/part_${number}/${read.path}`
      desk.warn(
        `${name} holds a private key: no image gets it unless \`save\` is told --allow-private-key, or \`overlay\` allowPrivateKeys`,
      )
    }
    return wanted
  } catch (error) {
    await unlink(temp).catch(() => {})
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    throw new FleetsieError('E_IO', 'there is no room for it in overlays/', {
      file: `part_${number}/${read.path}`,
      hint: `free some space where the desk is, then run this again: all that was changed is in ${upperPlace(number)}`,
      cause: error,
    })
  }
}
