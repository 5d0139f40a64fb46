/** What a push puts on a device. */
import type { Attributes } from '../tree/merged.ts'
import type { NodeType } from '../volume.ts'
import type { ContentPlace } from './wanted.ts'

/** Something to put in its place. */
export interface Item {
  path: string
  type: NodeType
  attributes: Attributes
  linkTo?: string
  target?: string
  device?: { major: number; minor: number }
  /** Of a file: in a layer, or the inode of the stock image. */
  content?: ContentPlace | { stock: number; size: number }
}
