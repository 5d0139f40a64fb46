/** `doctor`: says what is missing on this machine, and the one command that installs it. */
import { FleetsieError } from '../../errors.ts'
import { diagnose, thisMachine } from '../doctor.ts'
import type { Session } from '../session.ts'
import { storeFolder } from '../store-folder.ts'

/** Fails with E_TOOL (exit code 7) when something is missing that every build needs. */
export async function doctor(session: Session, options: { json?: boolean }): Promise<void> {
  await session.show({ json: options.json })
  const { findings, command } = diagnose(thisMachine(storeFolder()))
  for (const finding of findings) {
    const text = `${finding.state.padEnd(7)}  ${finding.name}: ${finding.detail}`
    session.emit({ type: 'answer', text, data: finding })
  }
  const missing = findings.filter((finding) => finding.state === 'missing').map((finding) => finding.name)
  if (missing.length > 0) {
    throw new FleetsieError(
      'E_TOOL',
      `missing: ${missing.join(', ')}`,
      command === undefined ? {} : { hint: command },
    )
  }
  if (command !== undefined) session.emit({ type: 'answer', text: `\n${command}`, data: { command } })
}
