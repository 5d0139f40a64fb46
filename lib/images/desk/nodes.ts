/** Files as a desk sees them, in the upper folder, in overlays/ and in the stock image alike. */

export interface Attributes {
  /** Permission bits with setuid, setgid and sticky: 07777. */
  mode: number
  uid: number
  gid: number
  xattrs: ReadonlyMap<string, Buffer>
}

export type Kind = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo'

export const defaultFolder: Attributes = { mode: 0o755, uid: 0, gid: 0, xattrs: new Map() }

/** What git alone would say about a file or a link. */
export function defaultFile(kind: 'file' | 'symlink', program: boolean): Attributes {
  return { ...defaultFolder, mode: kind === 'symlink' ? 0o777 : program ? 0o755 : 0o644 }
}

export function sameAttributes(a: Attributes, b: Attributes): boolean {
  return (
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.xattrs.size === b.xattrs.size &&
    [...a.xattrs].every(([name, value]) => b.xattrs.get(name)?.equals(value))
  )
}

/** The path of the folder that a path is in; of a top name it is ''. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0))
}

export function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

export function below(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`
}
