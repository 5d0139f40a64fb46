/** A program that stands beside ours, and does the whole work: stock .img.xz and overlays in, .img.xz out. */
import type { Subject } from '../measure.ts'
import type { StockImage } from '../stock.ts'
import type { Workplace } from '../workplace.ts'

export interface PeerWork {
  workplace: Workplace
  stock: StockImage
  /** Holds part_1, part_2, ... */
  overlays: string
  /** A folder of the peer's own. */
  folder: string
}

export interface ReadyPeer {
  subject: Subject
  /** The .img.xz that it makes. */
  output: string
  /** What the reader has to know, and what was prepared without being counted. */
  about?: string
}

export interface Peer {
  name: string
  /**
   * Makes ready what is not counted.
   * @throws with the reason where it cannot run here, or cannot make an equal image
   */
  ready(work: PeerWork): Promise<ReadyPeer>
  /** What a run that was ended may have left in the kernel. */
  tidy?(work: PeerWork): Promise<void>
}

/** Ended after so many seconds: the largest of these images takes the slowest of these peers a third of that. */
export const limit = 900
