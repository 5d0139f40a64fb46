/** What FAT can hold of a layer: refused before the edit, for mtools drops or mangles much of it and exits 0. */
import { FleetsieError } from '../../errors.ts'
import type { LayerEntry } from '../../formats/layer/entry.ts'
import { foldName, toBytes } from '../volume.ts'

const maxFile = 2 ** 32 - 1
const maxUnits = 255
const reserved = /^(con|prn|aux|nul|com[1-9]|lpt[1-9])$/i
const kinds = {
  symlink: 'a symlink',
  hardlink: 'a hard link',
  character: 'a device',
  block: 'a device',
  fifo: 'a fifo',
} as const

/** A checker for all layers of one edit: it remembers the names. */
export function fatEntryChecker(): (entry: LayerEntry) => void {
  const seen = new Map<string, string>()
  return (entry) => {
    if (entry.type === 'whiteout' || entry.type === 'opaque') return
    const refuse = (why: string): never => {
      throw new FleetsieError('E_INPUT', `${JSON.stringify(entry.path)} ${why}`)
    }
    if (entry.type !== 'file' && entry.type !== 'directory')
      return refuse(`is ${kinds[entry.type]}, which FAT cannot hold`)
    if (entry.type === 'file' && entry.size > maxFile)
      refuse(`has ${entry.size} bytes; a file on FAT has less than 4 GiB`)
    let path = ''
    for (const part of entry.path === '' ? [] : entry.path.split('/')) {
      const why = refusedName(part)
      if (why !== undefined) refuse(`has a name that FAT cannot hold: ${why}`)
      path = path === '' ? part : `${path}/${part}`
      const key = foldName({ foldsCase: true }, toBytes(path))
      const other = seen.get(key)
      if (other !== undefined && other !== path) {
        refuse(`and ${JSON.stringify(other)} differ only in case: on FAT they are one name`)
      }
      seen.set(key, path)
    }
  }
}

function refusedName(name: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  const bad = /[\u0000-\u001f\u007f"*:<>?\\|]/.exec(name)
  if (bad) return `it has ${JSON.stringify(bad[0])}`
  if (/[. ]$/.test(name)) return 'it ends with a dot or a space'
  if (reserved.test(name.split('.')[0]!)) return 'it is the name of a device'
  if (name.length > maxUnits) return `it has more than ${maxUnits} UTF-16 units`
  return undefined
}
