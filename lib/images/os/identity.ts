/** Which operating system a root filesystem holds: os-release(5), and what Raspberry Pi OS adds. */
import type { Volume } from '../volume.ts'
import { parseOsRelease } from './os-release.ts'
import type { SystemIdentity } from './recipe.ts'
import { isFolder, lookUp, readText } from './volume-file.ts'

/** What the filesystem says it holds, or undefined if it is no root filesystem. */
export function identify(volume: Volume): SystemIdentity | undefined {
  const text = readText(volume, 'etc/os-release') ?? readText(volume, 'usr/lib/os-release')
  if (text === undefined) return undefined
  const fields = parseOsRelease(text)
  const id = fields.get('ID') ?? ''
  return {
    id,
    name: fields.get('PRETTY_NAME') ?? id,
    rpiIssue: lookUp(volume, 'etc/rpi-issue') !== undefined,
  }
}

/** Whether systemd runs there. */
export function hasSystemd(volume: Volume): boolean {
  return isFolder(volume, 'usr/lib/systemd/system') || isFolder(volume, 'lib/systemd/system')
}
