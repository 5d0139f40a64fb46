/** What a scenario is given and what it gives. */
import type { Sample, Subject } from '../measure.ts'
import type { Row } from '../row.ts'
import type { Workplace } from '../workplace.ts'

export interface Bench {
  workplace: Workplace
  /** How often both sides run. */
  runs: number
  /** An .img.xz with several blocks, and which OS is in it. Made on first use when none was given. */
  image(): Promise<StockImage>
}

export interface StockImage {
  path: string
  os: string
  /** What it is. */
  about: string
  /** The build of the stage `debian` that made it, where it did. */
  madeBy?: { subject: Subject; sample: Sample }
}

export interface Scenario {
  name: string
  about: string
  run(bench: Bench): Promise<Row[]>
}
