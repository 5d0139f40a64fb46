/** Which partitions an overlay folder holds changes for, and how its files are called. */
import { lstat, readdir } from 'node:fs/promises'
import { basename, isAbsolute, join, normalize } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { typeOf } from './walk.ts'

/** The part of a source's name before `part_N`: the folder as the user wrote it, without what is the host's. */
export function sourcePrefix(from: string): string {
  const clean = normalize(from).replace(/\/+$/, '')
  return isAbsolute(clean) || clean.startsWith('..') || clean === '.' ? basename(clean) : clean
}

/** The number in `part_2` or `part_2.mtree`. */
export function partNumber(name: string): number | undefined {
  const match = /^part_([1-9][0-9]{0,2})(?:\.mtree)?$/.exec(name)
  return match ? Number(match[1]) : undefined
}

/** The names in `folder` that count: `part_N` and `part_N.mtree`, of all partitions or of one. Fails with E_INPUT. */
export async function findParts(
  folder: string,
  from: string,
  partition: number | undefined,
): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
    throw new FleetsieError('E_INPUT', `there is no folder ${from}`, {
      file: from,
      hint: 'make it, with a folder `part_N` in it for each partition N that gets files',
      cause: error,
    })
  })
  const parts: string[] = []
  for (const name of names.sort()) {
    const number = partNumber(name)
    if (number === undefined) refuseLookalike(name, from)
    else if (partition === undefined || number === partition) {
      await checkType(join(folder, name), `${from}/${name}`)
      parts.push(name)
    }
  }
  if (parts.length > 0) return parts
  const wanted =
    partition === undefined ? 'no `part_N`' : `neither part_${partition} nor part_${partition}.mtree`
  throw new FleetsieError('E_INPUT', `${from} holds ${wanted}`, {
    file: from,
    hint: 'the folder `part_2` holds what goes to the second partition',
  })
}

/** part_02, Part_1 or part-2 would else be left out without a word. */
function refuseLookalike(name: string, from: string): void {
  if (!/^part[-_. ]?[0-9]*(?:\.mtree)?$/i.test(name)) return
  throw new FleetsieError('E_INPUT', `${JSON.stringify(name)} names no partition`, {
    file: `${from}/${name}`,
    hint: 'call it part_1, part_2 … (or part_1.mtree), counted as the partition table does',
  })
}

/** A link here would let a repository take files from anywhere on the host. */
async function checkType(path: string, shown: string): Promise<void> {
  const type = typeOf(await lstat(path))
  if (type === (path.endsWith('.mtree') ? 'file' : 'directory')) return
  const code = type === 'symlink' ? 'E_UNSAFE' : 'E_INPUT'
  const kind = path.endsWith('.mtree') ? 'file' : 'folder'
  throw new FleetsieError(code, `${shown} has to be a ${kind}, but is a ${type}`, {
    file: shown,
    hint:
      type === 'symlink'
        ? 'links below it are kept as links; it must not be one itself'
        : `make it a ${kind}`,
  })
}
