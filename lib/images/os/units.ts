/** The files of `units/`, which go onto devices. A checkout and the installed package both carry them. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FleetsieError } from '../../errors.ts'

export const program = 'fleetsie_provision'
export const unit = 'fleetsie-provision.service'
/** Where they go in an image. */
export const unitFolder = 'usr/lib/systemd/system'
export const wantsFolder = 'etc/systemd/system/multi-user.target.wants'
export const partsFolder = 'usr/lib/fleetsie'

const parts = [
  ...['answer', 'claim', 'disk', 'identity', 'online', 'otps', 'say', 'setup', 'text', 'tunnel'],
  ...['wait', 'wifi'],
]

/** The files: where from, below `units/`, and where to. The tunnel's are there for disks that bring none. */
export const deviceFiles: readonly { from: string; path: string; mode: number }[] = [
  { from: program, path: `usr/bin/${program}`, mode: 0o755 },
  { from: unit, path: `${unitFolder}/${unit}`, mode: 0o644 },
  ...parts.map((name) => ({ from: `provision/${name}.sh`, path: `${partsFolder}/${name}.sh`, mode: 0o644 })),
  { from: 'ssh-tunnel.service', path: `${partsFolder}/ssh-tunnel.service`, mode: 0o644 },
  { from: 'ssh_tunnel.sh', path: `${partsFolder}/ssh_tunnel.sh`, mode: 0o755 },
]

/** The links, path and target: the one that enables the unit, and the names that the document also uses. */
export const deviceLinks: readonly { path: string; target: string }[] = [
  { path: `${wantsFolder}/${unit}`, target: `/${unitFolder}/${unit}` },
  { path: `${unitFolder}/fleetsie.service`, target: unit },
  { path: 'usr/bin/fleetsie', target: program },
]

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
