/** Makes of a builder's reports what a user wants to read: what was edited, what that made run and why, and the outcome. */
import { relative } from 'node:path'
import type { Artifact, BuildEvent, Emit, WatchResult } from '../../engine/events.ts'
import type { Edits } from '../../engine/watch/burst.ts'

const shownPaths = 3

export class Narrator {
  private readonly emit: Emit
  private readonly cwd: string
  /** Edits whose build nobody has seen yet: most turn out to change nothing, and are not worth a line. */
  private untold: Edits | undefined
  /** The build that was ordered last for an edit. */
  private last = 0
  private readonly since = new Map<number, number>()
  /** By path. */
  private digests = new Map<string, string>()
  private first = true
  /** When what is under way began, where no edit is known. */
  private at = performance.now()
  /** Remarks of the build before this one. */
  private remarks = new Set<string>()
  private newRemarks = new Set<string>()

  constructor(emit: Emit, cwd: string) {
    this.emit = emit
    this.cwd = cwd
  }

  /** A build is ordered. */
  begins(id: number, edits: Edits): void {
    this.since.set(id, edits.at)
    this.at = edits.at
    this.last = id
    this.first = false
    const paths = new Set([...(this.untold?.paths ?? []), ...edits.paths])
    this.untold = { paths: [...paths], more: (this.untold?.more ?? 0) + edits.more, at: edits.at }
  }

  /** An edit is told of, whatever comes of it. */
  tellEdits(): void {
    const edits = this.untold
    this.untold = undefined
    // git's own files say nothing that the files that it tracks do not say.
    const paths = edits?.paths.filter((path) => !path.endsWith('.lock')) ?? []
    if (!edits || paths.length === 0) return
    const files = paths.filter((path) => !/\/\.git\//.test(path))
    const shown = (files.length > 0 ? files : paths).map((path) => shownPath(this.cwd, path)).sort()
    this.emit({
      type: 'changed',
      paths: shown.slice(0, shownPaths),
      more: Math.max(0, shown.length - shownPaths) + edits.more,
    })
  }

  event(event: BuildEvent): void {
    if (this.isOld(event)) return
    if (event.type !== 'progress') this.tellEdits()
    this.emit(event)
  }

  done(id: number, result: WatchResult, artifacts: readonly Artifact[]): void {
    const at = this.since.get(id)
    // Another build is under way, or nothing has happened: neither is news.
    if (result === 'unchanged') {
      this.since.delete(id)
      if (id >= this.last) this.untold = undefined
    } else {
      for (const known of this.since.keys()) if (known <= id) this.since.delete(known)
      this.remarks = this.newRemarks
      this.newRemarks = new Set()
    }
    const changed = artifacts.filter(({ path, sha256 }) => this.digests.get(path) !== sha256)
    if (artifacts.length > 0) this.digests = new Map(artifacts.map(({ path, sha256 }) => [path, sha256]))
    this.first = false
    // Nobody edited anything: it was looked for what may have been missed.
    if (at === undefined && result === 'unchanged') return
    const ms = Math.round(performance.now() - (at ?? this.at))
    this.emit({ type: 'ready', result, ms, artifacts: changed })
  }

  /** After the first build, what is as it was is not worth a line, and a remark is made once. */
  private isOld(event: BuildEvent): boolean {
    if (event.type === 'stage') return !this.first && event.because === 'nothing changed'
    if (event.type !== 'note' && event.type !== 'warning') return false
    const remark = JSON.stringify(event)
    this.newRemarks.add(remark)
    return this.remarks.has(remark)
  }
}

function shownPath(cwd: string, path: string): string {
  const name = relative(cwd, path)
  return name.startsWith('..') ? path : name || '.'
}
