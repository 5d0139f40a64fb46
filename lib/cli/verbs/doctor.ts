/** `doctor`: what is missing on this machine, and the one command that installs it. */
import { FleetsieError } from '../../errors.ts'
import { diagnose, thisMachine } from '../doctor.ts'
import type { Session } from '../session.ts'
import { storeFolder } from '../store-folder.ts'

export async function doctor(session: Session, options: { json?: boolean }): Promise<void> {
  await session.show({ json: options.json })
  const { findings, command } = diagnose(thisMachine(await storeFolder()))
  for (const finding of findings) {
    const text = `${finding.state.padEnd(8)} ${finding.name.padEnd(20)} ${finding.detail}`
    session.emit({ type: 'answer', text, data: finding })
  }
  if (command !== undefined) {
    session.emit({
      type: 'answer',
      text: `\nThis installs what is missing:\n  ${command}`,
      data: { command },
    })
  }
  const missing = findings.filter((finding) => finding.state === 'missing').map((finding) => finding.name)
  if (missing.length > 0) {
    throw new FleetsieError('E_TOOL', `missing: ${missing.join(', ')}`, command ? { hint: command } : {})
  }
}
