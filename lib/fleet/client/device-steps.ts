/** Runs programs on a device through a connection to its server that is there already: nobody is asked for anything. */
import { readFile } from 'node:fs/promises'
import type { Run } from '../../engine/process.ts'
import type { Host } from '../../hosts/ssh/types.ts'
import { unitFile } from '../../images/os/units.ts'
import { batchArguments, type Reached } from './device-ssh.ts'
import type { FleetPlace } from './fleet-folder.ts'
import { forwardPort } from './forwarded-port.ts'
import type { OperatorLogin } from './operator-login.ts'

export interface StepResult {
  code: number
  stdout: string
  stderr: string
}

/** Gives `work` a function that runs the steps of units/fleetsie_rotate on `device`. */
export async function withDeviceSteps<T>(
  host: Host,
  { place, login, device, run }: { place: FleetPlace; login: OperatorLogin; device: Reached; run: Run },
  work: (step: (...words: string[]) => Promise<StepResult>) => Promise<T>,
): Promise<T> {
  const script = await readFile(unitFile('fleetsie_rotate'))
  const forwarded = await forwardPort(0, () => host.forward(device.port))
  const ssh = batchArguments(place, login, device, forwarded.port)
  try {
    return await work(async (...words) => {
      // What the words may be is known: nothing that a shell would take for more.
      const command = [...ssh, 'sh', '-s', '--', ...words]
      const everyCode = Array.from({ length: 256 }, (_, code) => code)
      const ended = await run('ssh', command, { input: script, okCodes: everyCode, timeout: 120_000 })
      return { code: ended.exitCode, stdout: ended.stdout.toString(), stderr: ended.stderr }
    })
  } finally {
    await forwarded.close()
  }
}
