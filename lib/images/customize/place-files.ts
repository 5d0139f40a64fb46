/** Finds the partition, and the place in it, for each file that goes to a path of the merged tree. */
import { FleetsieError } from '../../errors.ts'
import { ExtReader } from '../ext/reader.ts'
import { withWindow } from '../window.ts'
import { locate, splitPath } from './inside.ts'
import type { Prepared } from './prepare.ts'
import type { Mounted } from './root.ts'
import type { SeedFile } from './seed.ts'

/** By the partition's number. Fails with E_INPUT where a part of a path is a file in the image. */
export async function placeFiles(
  files: readonly SeedFile[],
  { disk, mounted }: Prepared,
): Promise<Map<number, SeedFile[]>> {
  const placed = new Map<number, Map<string, SeedFile>>()
  const put = (number: number, file: SeedFile): void => {
    const its = placed.get(number) ?? new Map<string, SeedFile>()
    placed.set(number, its.set(file.path, file))
  }
  const root = mounted[0]!
  const elsewhere = new Map<Mounted, SeedFile[]>()
  await within(disk, root, files, (file) => {
    const inner = mounted.filter(({ at }) => at !== '' && file.path.startsWith(`${at}/`)).at(-1)
    if (!inner) return put(root.partition.number, file)
    const rest = { ...file, path: file.path.slice(inner.at.length + 1) }
    elsewhere.set(inner, [...(elsewhere.get(inner) ?? []), rest])
  })
  for (const [one, its] of elsewhere) {
    if (one.kind === 'fat') for (const file of its) put(one.partition.number, file)
    else await within(disk, one, its, (file) => put(one.partition.number, file))
  }
  return new Map([...placed].map(([number, its]) => [number, [...its.values()]]))
}

/** Gives each file with the links on its way followed. */
async function within(
  disk: string,
  { partition }: Mounted,
  files: readonly SeedFile[],
  take: (file: SeedFile) => void,
): Promise<void> {
  if (files.length === 0) return
  await withWindow(disk, partition, 'r', (window) => {
    const volume = new ExtReader(window)
    for (const file of files) {
      const { folder, name } = splitPath(file.path)
      const real = locate(volume, folder)
      if (real.id !== undefined && volume.node(real.id).type !== 'directory') {
        throw new FleetsieError('E_INPUT', `/${file.path}: /${folder} is a file in the image, not a folder`)
      }
      take({ ...file, path: real.path === '' ? name : `${real.path}/${name}` })
    }
  })
}
