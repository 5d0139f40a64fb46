/** The folders of a project that are looked at whatever its stages say: what is made in them later may count. */
import { join } from 'node:path'

const code = ['stages', 'lib']
const data = ['overlays', 'units']

export function standardFolders(cwd: string): string[] {
  return [...data, ...code].map((name) => join(cwd, name))
}

/** Those that hold code, which only a new process takes up. */
export function codeFolders(cwd: string): string[] {
  return code.map((name) => join(cwd, name))
}
