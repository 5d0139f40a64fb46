/** A line of the table: what was measured, or why it was not. */
import { commandLine, type Sample, type Subject } from './measure.ts'
import { pairwise, type Spread, spread } from './statistics.ts'

/** The most that a figure may be: of the ratio, of our milliseconds, or of our bytes of memory. */
export interface Goal {
  of: 'ratio' | 'wall' | 'peak'
  atMost: number
}

export interface Figures {
  /** Milliseconds. */
  wall: Spread
  cpu?: Spread
  /** Bytes. */
  peak?: Spread
  command: string
}

export interface Measured {
  name: string
  runs: number
  ours: Figures
  peer?: Figures
  ratio?: Spread
  cpuRatio?: Spread
  goal?: Goal
  /** What the reader has to know about the input. */
  about?: string
}

export interface NotRun {
  name: string
  notRun: string
}

export type Row = Measured | NotRun

interface Comparison {
  name: string
  ours: Subject
  peer: Subject
  samples: { ours: Sample[]; peer: Sample[] }
  goal?: Goal
  about?: string
}

export function compared({ name, ours, peer, samples, goal, about }: Comparison): Measured {
  const cpu = [of(samples.ours, 'cpu'), of(samples.peer, 'cpu')] as const
  return {
    name,
    runs: samples.ours.length,
    ours: figures(ours, samples.ours),
    peer: figures(peer, samples.peer),
    ratio: pairwise(of(samples.ours, 'wall'), of(samples.peer, 'wall')),
    ...(cpu[0].length > 0 ? { cpuRatio: pairwise(...cpu) } : {}),
    ...(goal ? { goal } : {}),
    ...(about ? { about } : {}),
  }
}

export function figures(subject: Subject, samples: readonly Sample[]): Figures {
  const cpu = of(samples, 'cpu')
  const peak = of(samples, 'peak')
  return {
    wall: spread(of(samples, 'wall')),
    ...(cpu.length > 0 ? { cpu: spread(cpu) } : {}),
    ...(peak.length > 0 ? { peak: spread(peak) } : {}),
    command: commandLine(subject),
  }
}

function of(samples: readonly Sample[], what: 'wall' | 'cpu' | 'peak'): number[] {
  return samples.map((sample) => sample[what]).filter((value) => value !== undefined)
}

/** Whether the median is within the goal; undefined where there is no goal. */
export function reached(row: Measured): boolean | undefined {
  if (row.goal === undefined) return undefined
  const figure = row.goal.of === 'ratio' ? row.ratio : row.ours[row.goal.of]
  return figure === undefined ? undefined : figure.median <= row.goal.atMost
}
