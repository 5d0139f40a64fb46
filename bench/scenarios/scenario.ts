/** What a scenario is given and what it gives. */
import type { Larger } from '../five-times.ts'
import type { PeerRun } from '../peers/run.ts'
import type { Row } from '../row.ts'
import type { StockImage } from '../stock.ts'
import type { Workplace } from '../workplace.ts'

export interface Bench {
  workplace: Workplace
  /** How often both sides run. */
  runs: number
  /** Whether others than the shell script are tried. */
  peers: boolean
  stock: StockImage
  /** The same on a larger disk, or with more data. Made on first use. */
  fiveTimes(kind: Larger): Promise<StockImage>
  /** What the shell script takes for that image. It knows nothing of earlier runs: any change takes it the same. */
  seed(): Promise<PeerRun>
  /** Tells whoever waits. */
  say(line: string): void
}

export interface Scenario {
  name: string
  about: string
  run(bench: Bench): Promise<Row[]>
}
