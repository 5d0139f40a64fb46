/** What a bench works on. */
import type { Sample, Subject } from './measure.ts'

/** An .img.xz. */
export interface StockImage {
  path: string
  os: string
  /** What it is. */
  about: string
  /** The build of the stage `debian` that made it, where it did. */
  madeBy?: { subject: Subject; sample: Sample }
}
