/**
 * Named points in publishing, carrying, memo, gc and sweeping. A test may act there: change the store under the code's feet, or end
 * the process as a power cut would. FLEETSIE_TRACE_KILL=name ends the process by SIGKILL at that point.
 */

export const tracePoints = [
  'workspace.made',
  'publish.normalised',
  'publish.synced',
  'publish.began',
  'publish.renamed',
  'publish.registered',
  'publish.committed',
  'publish.logged',
  'carry.began',
  'carry.used',
  'carry.ended',
  'memo.written',
  'memo.kept',
  'gc.began',
  'gc.registered',
  'gc.renamed',
  'gc.committed',
  'gc.deleted',
  'gc.uncarried',
  'sweep.dead',
  'sweep.orphan',
] as const

export type TracePoint = (typeof tracePoints)[number]

let hook: ((name: TracePoint) => void) | undefined

/** Calls `listener` at every point from now on; undefined ends that. For tests. */
export function onTracePoint(listener: typeof hook): void {
  hook = listener
}

export function tracePoint(name: TracePoint): void {
  hook?.(name)
  if (process.env['FLEETSIE_TRACE_KILL'] === name) process.kill(process.pid, 'SIGKILL')
}
