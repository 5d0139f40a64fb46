/** What the page shows: plain values, most of which go into it as JSON. */
import type { RecordedBuild, RecordedStage } from '../../engine/store/types.ts'
import type { LayerEffect } from '../../images/diff/layer-effects.ts'

export interface PageStage {
  /** As events call it. */
  name: string
  /** The stage's own name, and what it is for. */
  stage: string
  summary: string
  kind: 'build' | 'deploy'
  /** In the last build that came to it, and whether that was the last of all. */
  last?: RecordedStage & { at: number; current: boolean }
  /** The last time that it really ran. */
  ran?: RecordedStage & { at: number }
  output?: {
    digest: string
    bytes?: number
    /** Why it is not in the store any more. */
    gone?: string
  }
  /** Of a deploy stage: the files that it left. */
  files?: { path: string; kind: string }[]
  options: [name: string, value: string][]
  sources: string[]
  tools: [name: string, version: string][]
}

export interface PageEdge {
  from: string
  to: string
  label: string
}

export interface PagePartition {
  number: number
  offset: number
  size: number
  filesystem: string | null
  label: string | null
  /** Bytes that the filesystem holds; undefined: not known. */
  used?: number
}

export interface PageLayer {
  /** The stage that makes it. */
  stage: string
  partition: number
  effect: LayerEffect
}

/** A file that the layers add, change or remove. A row of the search; short, because there may be thousands. */
export type PageFile = [
  path: string,
  kind: 'added' | 'changed' | 'removed',
  /** Its place in `PageData.layers`. */
  layer: number,
  type: string,
  /** Bytes now, and before. */
  size: number,
  before: number,
  /** Octal text; empty where the filesystem has none. */
  mode: string,
  /** `uid:gid`. */
  owner: string,
  /** What differs of a changed one: `content, mode`; where a link leads. */
  note: string,
]

export interface PageDisk {
  size: number
  table: string
  /** Of the file that is published. */
  compressed?: number
  partitions: PagePartition[]
}

export interface PageData {
  target: string
  about: string | undefined
  /** Milliseconds since 1970. */
  made: number
  version: string
  stages: PageStage[]
  edges: PageEdge[]
  /** The latest first. */
  builds: RecordedBuild[]
  disk?: PageDisk
  layers: PageLayer[]
  files: PageFile[]
  /** Files that are left out of `files`. */
  more: number
  /** Why something is not shown. */
  remarks: string[]
}
