/** The part of a disk that holds no secret, and is the same for every fleet. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { unitFile } from '../../images/os/units.ts'
import { diskUnits, names, wifiTemplate } from './layout.ts'
import type { BundleFile } from './plan.ts'

/** What a person may lay into `customize`, bytes for each file: it is held in memory on its way. */
const maxFile = 512 * 1024 * 1024

/** The bundle of this program's own files, as the verb writes it. */
export async function ownBundle(): Promise<BundleFile[]> {
  const wifi = { name: names.wifi, bytes: Buffer.from(wifiTemplate), executable: false }
  const units = diskUnits.map(async (name) => ({
    name,
    bytes: await readFile(unitFile(name)),
    executable: name === names.tunnel,
  }))
  return [wifi, ...(await Promise.all(units))]
}

/** The bundle that the stage `usb-bundle` made in `folder`. Fails with E_INPUT when it is none. */
export async function bundleFrom(folder: string): Promise<BundleFile[]> {
  const files: BundleFile[] = []
  const walk = async (below: string): Promise<void> => {
    const entries = await readdir(join(folder, below), { withFileTypes: true })
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = below === '' ? entry.name : `${below}/${entry.name}`
      if (entry.isDirectory()) await walk(name)
      else if (entry.isFile()) files.push(await bundleFile(join(folder, name), name))
    }
  }
  await walk('')
  const missing = diskUnits.find((name) => !files.some((file) => file.name === name))
  if (missing === undefined) return files
  throw new FleetsieError('E_INPUT', `the bundle has no ${missing}`, {
    hint: 'give `usb` what `usb-bundle` made',
  })
}

async function bundleFile(path: string, name: string): Promise<BundleFile> {
  const { size, mode } = await stat(path)
  if (size > maxFile) throw new FleetsieError('E_INPUT', `${name} has ${size} bytes; ${maxFile} is the limit`)
  return { name, bytes: await readFile(path), executable: (mode & 0o100) !== 0 }
}
