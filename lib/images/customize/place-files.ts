/** Finds the partition, and the place in it, for each file that goes to a path of the merged tree. */
import { FleetsieError } from '../../errors.ts'
import { ExtReader } from '../ext/reader.ts'
import { withWindow } from '../window.ts'
import { locate, splitPath } from './inside.ts'
import type { Prepared } from './prepare.ts'
import type { Mounted } from './root.ts'
import type { SeedFile } from './seed.ts'

/** A file, and the path that it was asked for at. */
interface Asked {
  file: SeedFile
  asked: string
}

/** By the partition's number. Fails with E_INPUT where a part of a path is a file in the image, or two paths are one place. */
export async function placeFiles(
  files: readonly SeedFile[],
  { disk, mounted }: Prepared,
): Promise<Map<number, SeedFile[]>> {
  const placed = new Map<number, Map<string, Asked>>()
  const put = (number: number, { file, asked }: Asked): void => {
    const its = placed.get(number) ?? new Map<string, Asked>()
    const other = its.get(file.path)
    if (other) {
      throw new FleetsieError('E_INPUT', `/${other.asked} and /${asked} are one place in the image`, {
        hint: 'links of the image lead from one to the other; keep one of the two files',
      })
    }
    placed.set(number, its.set(file.path, { file, asked }))
  }
  const root = mounted[0]!
  const elsewhere = new Map<Mounted, Asked[]>()
  const all = files.map((file) => ({ file, asked: file.path }))
  await within(disk, root, all, ({ file, asked }) => {
    const inner = mounted.filter(({ at }) => at !== '' && file.path.startsWith(`${at}/`)).at(-1)
    if (!inner) return put(root.partition.number, { file, asked })
    const rest = { ...file, path: file.path.slice(inner.at.length + 1) }
    elsewhere.set(inner, [...(elsewhere.get(inner) ?? []), { file: rest, asked }])
  })
  for (const [one, its] of elsewhere) {
    if (one.kind === 'fat') for (const each of its) put(one.partition.number, each)
    else await within(disk, one, its, (each) => put(one.partition.number, each))
  }
  return new Map([...placed].map(([number, its]) => [number, [...its.values()].map(({ file }) => file)]))
}

/** Gives each file with the links on its way followed. */
async function within(
  disk: string,
  { partition }: Mounted,
  files: readonly Asked[],
  take: (file: Asked) => void,
): Promise<void> {
  if (files.length === 0) return
  await withWindow(disk, partition, 'r', (window) => {
    const volume = new ExtReader(window)
    for (const { file, asked } of files) {
      const { folder, name } = splitPath(file.path)
      const real = locate(volume, folder)
      if (real.id !== undefined && volume.node(real.id).type !== 'directory') {
        throw new FleetsieError('E_INPUT', `/${file.path}: /${folder} is a file in the image, not a folder`)
      }
      take({ file: { ...file, path: real.path === '' ? name : `${real.path}/${name}` }, asked })
    }
  })
}
