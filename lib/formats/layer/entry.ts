/** What a layer holds: the changes to one partition, entry by entry. */

/** `nanoseconds` counts forward from `seconds`, also before 1970. {0,0} means "not said". */
export interface LayerTime {
  seconds: number
  nanoseconds: number
}

/** A range of a sparse file that holds data; all else reads as zeros. */
export interface Extent {
  offset: number
  length: number
}

export interface LayerAttributes {
  /** Relative, '/'-separated UTF-8 without '.', '..' or empty parts. */
  path: string
  /** Permission bits with setuid, setgid and sticky: 07777. */
  mode: number
  uid: number
  gid: number
  mtime: LayerTime
  xattrs: Map<string, Buffer>
}

/** A file of `size` bytes. With `extents` (in order, apart) its content is those ranges, one after the other. */
export type LayerFile = LayerAttributes & { type: 'file'; size: number; extents?: Extent[] }

export type LayerEntry =
  | LayerFile
  | (LayerAttributes & { type: 'directory' })
  | (LayerAttributes & { type: 'symlink'; target: string })
  /** `target` is the path of an earlier file of the same layer. One inode: only the target's attributes count. */
  | (LayerAttributes & { type: 'hardlink'; target: string })
  | (LayerAttributes & { type: 'character' | 'block'; major: number; minor: number })
  | (LayerAttributes & { type: 'fifo' })
  /** `path` goes away, with all below it. */
  | { type: 'whiteout'; path: string }
  /** All that earlier layers have in the folder `path` goes away; '' is the partition's top folder. */
  | { type: 'opaque'; path: string }

export interface LayerInput {
  entry: LayerEntry
  /** The bytes of a file, or of its extents alone. Nothing: an empty file. */
  content?: AsyncIterable<Uint8Array>
}

export interface LayerMember {
  entry: LayerEntry
  /** Has to be read, if at all, before the next member is asked for. */
  content: AsyncIterable<Buffer>
}
