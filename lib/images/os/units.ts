/** The files of `units/`, which go onto devices. A checkout and the installed package both carry them. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FleetsieError } from '../../errors.ts'

export const program = 'fleetsie_provision'
export const unit = 'fleetsie-provision.service'
export const unitModes = new Map([
  [program, 0o755],
  [unit, 0o644],
])
/** Where they go in an image. */
export const unitFolder = 'usr/lib/systemd/system'
export const wantsFolder = 'etc/systemd/system/multi-user.target.wants'

/** The path of units/`name`. The compiled code lies one folder deeper than its source, so it is looked for upwards. */
export function unitFile(name: string): string {
  const start = dirname(fileURLToPath(import.meta.url))
  for (let folder = start; ; folder = dirname(folder)) {
    const file = join(folder, 'units', name)
    if (existsSync(file)) return file
    if (folder === dirname(folder))
      throw new FleetsieError('E_BUG', `units/${name} is missing from the package`)
  }
}
