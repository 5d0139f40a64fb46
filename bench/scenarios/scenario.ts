/** What a scenario is given and what it gives. */
import type { Larger } from '../five-times.ts'
import type { PeerRun } from '../peers/run.ts'
import type { Row } from '../row.ts'
import type { StockImage } from '../stock.ts'
import type { Workplace } from '../workplace.ts'

/** What every scenario is given. */
export interface Ground {
  workplace: Workplace
  /** How often both sides run. */
  runs: number
  /** So many devices at most are in the scenarios of the fleet: for a trial. */
  most: number
  /** Tells whoever waits. */
  say(line: string): void
}

export interface Bench extends Ground {
  /** Whether others than the shell script are tried. */
  peers: boolean
  stock: StockImage
  /** The same on a larger disk, or with more data. Made on first use. */
  fiveTimes(kind: Larger): Promise<StockImage>
  /** What the shell script takes for that image. It knows nothing of earlier runs: any change takes it the same. */
  seed(): Promise<PeerRun>
}

interface Named {
  name: string
  about: string
}

export interface Scenario extends Named {
  withoutImage?: undefined
  run(bench: Bench): Promise<Row[]>
}

/** One that needs no stock image, which takes a while to make. */
export interface PlainScenario extends Named {
  withoutImage: true
  run(ground: Ground): Promise<Row[]>
}
