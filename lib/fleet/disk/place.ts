/** Where the folder `fleetsie` of a provisioning disk is: a folder, a FAT partition, a zip. One set of words for all. */

export type EntryType = 'file' | 'folder' | 'other'

/** A change of one name. Names are relative to `fleetsie`, with `/` between folders. */
export type Change =
  | { do: 'folder'; name: string }
  | { do: 'write'; name: string; bytes: Buffer; executable?: boolean }
  | { do: 'remove'; name: string }
  /** Within one folder; nothing has the new name. */
  | { do: 'rename'; name: string; to: string }

export interface DiskPlace {
  /** For messages: `sda1`, `/mnt/stick`. */
  readonly name: string
  /** FAT and the like: whoever holds the disk reads all of it. */
  readonly hasPermissions: boolean
  /** What a folder holds; nothing where there is none. `''` is `fleetsie` itself. */
  list(folder: string): Promise<Map<string, EntryType>>
  /** A file's bytes; undefined where there is no such file. Fails with E_INPUT when it has more than `limit`. */
  read(name: string, limit: number): Promise<Buffer | undefined>
  /** Bytes that new files may take. */
  free(): Promise<number>
  /**
   * Carries the changes out in their order, each on the medium before the next begins: whenever this ends, every name
   * has its old or its new content.
   */
  apply(changes: readonly Change[], signal: AbortSignal): Promise<void>
  /** Lets go of the medium. Never fails; twice is once. */
  close(): Promise<void>
}

/** The folder at the top of every disk. */
export const topFolder = 'fleetsie'
