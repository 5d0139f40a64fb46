/** In what two disk images differ: their tables, and the files of each partition. */
import { chunkSize } from '../image.ts'
import type { PartitionInfo } from '../partition-table.ts'
import { openVolume } from '../read-tree.ts'
import type { Volume } from '../volume.ts'
import type { NodeChange } from './compare.ts'
import { openWindow } from './patched-window.ts'
import { differing, type Unpacked } from './unpack.ts'
import { compareVolumes } from './volumes.ts'

export interface Fact {
  name: string
  before: string | undefined
  after: string | undefined
}

/** A file that differs, by its number on each side. */
export type ImageChange = NodeChange<number, number>

/** To read what a change is about. */
export interface Volumes {
  before: Volume
  after: Volume
}

export interface DiffOptions {
  times: boolean
  /** Only files of this partition, and at or below this path; bytes as latin1. */
  only?: { partition?: number; path: string } | undefined
  signal: AbortSignal
  /** Of the disk as a whole: its table, and bytes that are in no partition. */
  onDisk(facts: Fact[], outside: number): void
  /** Called for each partition of either side before its files. */
  onPartition(number: number, facts: Fact[], partition: PartitionInfo): void
  onFile(number: number, change: ImageChange, volumes: Volumes): void
  /** Its bytes differ although no file does, or nobody can read its files. */
  onBytes(number: number, why: 'metadata' | 'unread', chunks: number): void
}

/** Tells what differs. Answers whether every byte is the same. */
export function diffImages(before: Unpacked, after: Unpacked, options: DiffOptions): boolean {
  const chunks = new Set(differing(before.chunks, after.chunks))
  const numbers = [...before.table.partitions, ...after.table.partitions].map(({ number }) => number)
  options.onDisk(diskFacts(before, after), outside(before, after, chunks))
  for (const number of [...new Set(numbers)].sort((a, b) => a - b)) {
    if (options.only?.partition !== undefined && options.only.partition !== number) continue
    const [a, b] = [before, after].map(({ table }) => table.partitions.find((one) => one.number === number))
    const facts = factsOf(partitionFacts, a, b)
    options.onPartition(number, facts, (b ?? a)!)
    if (a && b) diffPartition({ before, after, chunks, options }, a, b)
  }
  return chunks.size === 0
}

interface Work {
  before: Unpacked
  after: Unpacked
  chunks: ReadonlySet<number>
  options: DiffOptions
}

function diffPartition({ before, after, chunks, options }: Work, a: PartitionInfo, b: PartitionInfo): void {
  const { number } = b
  const inPlace = a.offset === b.offset
  const differs = chunksOf(b).filter((chunk) => chunks.has(chunk)).length
  if (inPlace && a.size === b.size && differs === 0) return
  const windows = [openWindow(before, a), openWindow(after, b)] as const
  try {
    const [left, right] = [
      readable(() => openVolume(windows[0], a)),
      readable(() => openVolume(windows[1], b)),
    ]
    if (!left || !right) {
      if (!inPlace || differs > 0) options.onBytes(number, 'unread', differs)
      return
    }
    const sameBytes = (position: number, length: number): boolean => {
      const start = b.offset + position
      for (let at = Math.floor(start / chunkSize); at * chunkSize < start + length; at++) {
        if (chunks.has(at)) return false
      }
      return true
    }
    let found = 0
    const { times, only, signal } = options
    const how = {
      times,
      ...(inPlace ? { sameBytes } : {}),
      ...(only ? { within: only.path } : {}),
      onFile: () => signal.throwIfAborted(),
    }
    for (const change of compareVolumes(left, right, how)) {
      found++
      options.onFile(number, change, { before: left, after: right })
    }
    if (found === 0 && !only && differs > 0) options.onBytes(number, 'metadata', differs)
  } finally {
    for (const window of windows) window.close()
  }
}

/** Undefined for a filesystem that this program does not read. */
function readable(openIt: () => Volume): Volume | undefined {
  try {
    return openIt()
  } catch (error) {
    if ((error as { code?: unknown }).code === 'E_UNSUPPORTED') return undefined
    throw error
  }
}

function chunksOf({ offset, size }: { offset: number; size: number }): number[] {
  const first = Math.floor(offset / chunkSize)
  return Array.from({ length: Math.ceil((offset + size) / chunkSize) - first }, (_, index) => first + index)
}

/** Chunks that differ and hold nothing of a partition. */
function outside(before: Unpacked, after: Unpacked, chunks: ReadonlySet<number>): number {
  const inside = new Set([...before.table.partitions, ...after.table.partitions].flatMap(chunksOf))
  return [...chunks].filter((chunk) => !inside.has(chunk)).length
}

function diskFacts({ table: a }: Unpacked, { table: b }: Unpacked): Fact[] {
  return factsOf(['table', 'diskId', 'size'] as const, a, b)
}

const partitionFacts = [
  'offset',
  'size',
  'type',
  'bootable',
  'name',
  'partuuid',
  'filesystem',
  'label',
  'uuid',
] as const

function factsOf<T extends object>(
  names: readonly (keyof T & string)[],
  a: T | undefined,
  b: T | undefined,
): Fact[] {
  const text = (of: T | undefined, name: keyof T): string | undefined =>
    of?.[name] === undefined || of[name] === null ? undefined : String(of[name])
  return names
    .map((name) => ({ name, before: text(a, name), after: text(b, name) }))
    .filter((fact) => fact.before !== fact.after)
}
