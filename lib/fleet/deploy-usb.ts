/** What the stage `usb` does: the verb's work without a question, and without new devices. */
import type { DeployContext, Input } from '../engine/stage.ts'
import { FleetsieError } from '../errors.ts'
import { connect } from '../hosts/ssh/connect.ts'
import type { Prompts } from '../hosts/ssh/types.ts'
import { callerHome } from '../images/caller.ts'
import { generate } from './client/gen.ts'
import { bundleFrom } from './disk/bundle.ts'
import { findDisk } from './disk/find.ts'
import { checkFleet, parseFleetHost } from './names.ts'

interface Deployment {
  bundle: Input
  fleet: string
  host: string
  disk: string
  days: number | null
  unmount: boolean
  yesReally: boolean
}

type Context = Omit<DeployContext<unknown>, 'options'> & { readonly options: Deployment }

/** Makes the disk so, and notes what was written. Fails as `generate`. */
export async function deployUsb({ options, cwd, run, signal, note, warn }: Context): Promise<void> {
  const { bundle, fleet, host, disk, days, ...allowed } = options
  const { env } = process
  checkFleet(fleet)
  parseFleetHost(host)
  const files = await bundleFrom(bundle.path)
  const place = await findDisk(disk, { cwd, allowed, run, env })
  try {
    const expires = days === null ? null : Math.floor(Date.now() / 1000 + days * 86_400)
    const order = { fleet, server: host, num: 0, disk: place, bundle: files, expires, serverKeys: undefined }
    const login = { prompts: nobody(fleet, host), signal, env: { ...env, HOME: await callerHome(env) } }
    const made = await generate(order, {
      ...{ run, env, signal, note, warn },
      connect: () => connect(`fleetsie@${host}`, login),
      step: () => ({ done: () => {} }),
    })
    for (const line of made.reply.warnings) warn(line)
    const { devices, files: written, lot } = made.disk!
    note(`${place.name}: ${devices} unclaimed devices, lot ${lot}; ${written.length} files written`)
  } finally {
    await place.close()
  }
}

/** A stage has no terminal. */
function nobody(fleet: string, host: string): Prompts {
  const refuse = async (question: string): Promise<never> => {
    throw new FleetsieError('E_USAGE', `a stage asks nobody: ${question.trim()}`, {
      hint: `run \`fleetsie gen ${fleet} ${host}\` once`,
    })
  }
  return { secret: refuse, confirm: refuse }
}
