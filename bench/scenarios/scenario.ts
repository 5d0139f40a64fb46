/** What a scenario is given and what it gives. */
import type { Larger } from '../five-times.ts'
import type { Sample, Subject } from '../measure.ts'
import type { PeerRun } from '../peers/run.ts'
import type { Row } from '../row.ts'
import type { Workplace } from '../workplace.ts'

export interface Bench {
  workplace: Workplace
  /** How often both sides run. */
  runs: number
  stock: StockImage
  /** The same on a larger disk, or with more data. Made on first use. */
  fiveTimes(kind: Larger): Promise<StockImage>
  /** What the shell script takes for that image. It knows nothing of earlier runs: any change takes it the same. */
  seed(): Promise<PeerRun>
  /** Tells whoever waits. */
  say(line: string): void
}

/** An .img.xz. */
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
