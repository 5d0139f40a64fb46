/** `lock`: refreshes the list of Debian packages, with versions and sums, that `debian` installs. */
import { resolve } from 'node:path'
import { topological } from '../../engine/graph.ts'
import { refreshLock } from '../../images/debian/refresh.ts'
import type { Session } from '../session.ts'
import { chooseTargets } from '../targets.ts'
import { temporaryRun } from '../temporary-run.ts'

export async function lock(
  session: Session,
  file: string | undefined,
  options: { json?: boolean },
): Promise<void> {
  await session.show({ json: options.json })
  for (const path of file === undefined ? locksOf(session) : [resolve(file)]) {
    const changes = await temporaryRun(session.signal, (run, tmp) => refreshLock(path, { run, tmp }))
    const parts = Object.entries(changes)
      .filter(([, names]) => names.length > 0)
      .map(
        ([kind, names]) =>
          `${names.length} ${kind} (${names.slice(0, 8).join(', ')}${names.length > 8 ? ', ...' : ''})`,
      )
    const text = `${path}: ${parts.length === 0 ? 'is as the mirror has it' : parts.join('; ')}`
    session.emit({ type: 'answer', text, data: { file: path, ...changes } })
  }
}

/** The lock files that the pipeline's targets name. */
function locksOf(session: Session): string[] {
  const { targets, cwd } = session.requireProject()
  const locks = chooseTargets(targets, Object.keys(targets))
    .flatMap(({ root }) => topological(root))
    .filter((derivation) => derivation.stage.name === 'debian-packages')
    .map((derivation) => resolve(cwd, String(derivation.options['lock'])))
  return [...new Set(locks)]
}
