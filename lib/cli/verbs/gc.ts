/** `gc`: gives disk space back and says what that costs. */
import type { GcOptions } from '../../engine/store/types.ts'
import { formatBytes } from '../format.ts'
import type { Session } from '../session.ts'

interface GcVerbOptions extends GcOptions {
  json?: boolean
}

export async function gc(session: Session, { json, ...options }: GcVerbOptions): Promise<void> {
  await session.show({ json })
  const store = await session.openStore()
  const report = await store.gc(options, session.signal)
  const stages = new Set(report.evicted.map((object) => object.name))
  const verb = options.dryRun ? 'would free' : 'freed'
  const slower = stages.size > 0 ? `; ${[...stages].sort().join(', ')} will run again when needed` : ''
  const { caches, kept } = report
  const freed = `${formatBytes(report.bytes)} in ${report.evicted.length} objects and ${caches.dropped} cache entries`
  const stay = `${kept.objects} objects of ${formatBytes(kept.bytes)} and ${caches.kept} cache entries of ${formatBytes(caches.keptBytes)} stay`
  session.emit({
    type: 'answer',
    text: `${verb} ${freed}${slower}; ${stay}`,
    data: report,
  })
}
