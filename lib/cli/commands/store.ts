/** The verbs that look after the store. */
import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { age, positive, size, verb } from './verb.ts'

export function storeCommands(root: Command, session: Session): void {
  verb(
    root,
    'gc',
    'give disk space back: evict results that nobody needs',
    'gc --max-size 20G --max-age 30d --keep-last 3',
  )
    .option('--max-size <size>', 'until the store is smaller: 20G, 500M', size)
    .option('--max-age <age>', 'what was not used for so long: 30d, 12h', age)
    .option('--keep-last <n>', 'but keep so many results of each stage', positive)
    .option('-n, --dry-run', 'only say what would go')
    .action(async (options) => (await import('../verbs/gc.ts')).gc(session, options))

  const store = root.command('store').description('look after the store')
  verb(store, 'verify', 'read every object and compare it with its digest', 'store verify --repair')
    .option('--repair', 'drop what is damaged; it is built again when it is needed')
    .action(async (options) => (await import('../verbs/store-verify.ts')).storeVerify(session, options))
}
