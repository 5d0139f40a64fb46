/** `store verify`: reads every object and memo entry and compares it with its digest. */
import { join } from 'node:path'
import { moveDatabaseAway } from '../../engine/store/sqlite.ts'
import { FleetsieError } from '../../errors.ts'
import { formatBytes } from '../format.ts'
import type { Session } from '../session.ts'

export async function storeVerify(
  session: Session,
  options: { json?: boolean; repair?: boolean },
): Promise<void> {
  await session.show({ json: options.json })
  const store = await session.openStore()
  const report = await store.verify({ repair: options.repair ?? false, signal: session.signal })
  for (const { path, problem, repaired } of report.problems) {
    const text = `${path}: ${problem}${repaired ? ' (repaired)' : ''}`
    session.emit({ type: 'answer', text, data: { path, problem, repaired } })
  }
  const entries = `${report.objects} objects and ${report.memoEntries} memo entries`
  const text = `${entries} of ${formatBytes(report.bytes)} read, ${report.problems.length} problems`
  session.emit({
    type: 'answer',
    text,
    data: { objects: report.objects, memoEntries: report.memoEntries, bytes: report.bytes, ok: report.ok },
  })
  if (!report.ok) {
    const database = report.problems.some(({ path }) => path === join(store.folder, 'db.sqlite'))
    throw new FleetsieError('E_STORE', 'the store is damaged', {
      hint: database
        ? moveDatabaseAway
        : '`fleetsie store verify --repair` drops what is damaged; it is built again when it is needed',
    })
  }
}
