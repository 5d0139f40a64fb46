/** A line of the table: what was measured, or why it was not. */
import { commandLine, type Sample, type Subject } from './measure.ts'
import { pairwise, type Spread, spread, unpaired } from './statistics.ts'

/** The most that a figure may be: of the ratio, of our milliseconds, of our bytes of memory, of our size over theirs. */
export interface Goal {
  of: 'ratio' | 'wall' | 'peak' | 'size'
  atMost: number
}

/** What came out, where a run makes a file that can be compared. */
export interface Output {
  /** Bytes. */
  size: number
  /** Whether another run with the same inputs made the same bytes. */
  same?: boolean
}

export interface Figures {
  runs: number
  /** Milliseconds. */
  wall: Spread
  cpu?: Spread
  /** Bytes. */
  peak?: Spread
  /** Bytes. */
  written?: Spread
  output?: Output
  command: string
}

export interface Measured {
  /** The scenario. Rows of one name differ in what stands beside us. */
  name: string
  /** What `peer` is. */
  beside?: string
  ours: Figures
  peer?: Figures
  ratio?: Spread
  cpuRatio?: Spread
  goal?: Goal
  /** What the reader has to know. */
  about?: string
  /** Where our time went: shown where the goal was missed. */
  spent?: string
}

export interface NotRun {
  name: string
  beside?: string
  notRun: string
}

export type Row = Measured | NotRun

/** One side of a comparison. */
export interface Side {
  subject: Subject
  samples: readonly Sample[]
  output?: Output
}

/** `paired`: the samples were taken in turn, ours before the peer's. */
export interface Comparison extends Pick<Measured, 'name' | 'beside' | 'goal' | 'about' | 'spent'> {
  ours: Side
  peer: Side
  paired: boolean
}

export function compared({ ours, peer, paired, ...facts }: Comparison): Measured {
  const ratio = paired ? pairwise : unpaired
  const cpu = [of(ours.samples, 'cpu'), of(peer.samples, 'cpu')] as const
  return {
    ...facts,
    ours: figures(ours),
    peer: figures(peer),
    ratio: ratio(of(ours.samples, 'wall'), of(peer.samples, 'wall')),
    // A program that is quicker than the clock ticks has none.
    ...(cpu.every((side) => side.length > 0 && Math.min(...side) > 0) ? { cpuRatio: ratio(...cpu) } : {}),
  }
}

export function figures({ subject, samples, output }: Side): Figures {
  const known = (['cpu', 'peak', 'written'] as const).flatMap((what) => {
    const values = of(samples, what)
    return values.length > 0 ? [[what, spread(values)] as const] : []
  })
  return {
    runs: samples.length,
    wall: spread(of(samples, 'wall')),
    ...Object.fromEntries(known),
    ...(output ? { output } : {}),
    command: commandLine(subject),
  }
}

function of(samples: readonly Sample[], what: 'wall' | 'cpu' | 'peak' | 'written'): number[] {
  return samples.map((sample) => sample[what]).filter((value) => value !== undefined)
}

/** Whether the median is within the goal; undefined where there is no goal, or no figure to hold against it. */
export function reached({ goal, ratio, ours, peer }: Measured): boolean | undefined {
  if (goal === undefined) return undefined
  const figure = {
    ratio: ratio?.median,
    wall: ours.wall.median,
    peak: ours.peak?.max,
    size: ours.output && peer?.output && ours.output.size / peer.output.size,
  }[goal.of]
  return figure === undefined ? undefined : figure <= goal.atMost
}
