/** What the stage `server` does: the verb's work without a question. */
import { resolve } from 'node:path'
import type { DeployContext, Input } from '../engine/stage.ts'
import { FleetsieError } from '../errors.ts'
import { keyInFile, offeredKeys } from '../hosts/public-keys.ts'
import type { Prompts } from '../hosts/ssh/types.ts'
import { setUpServer } from './set-up-server.ts'

interface Deployment {
  bundle: Input
  host: string
  key?: string | undefined
}

type Context = Omit<DeployContext<unknown>, 'options'> & { readonly options: Deployment }

/** Makes the server so, and notes what was changed. Fails as setUpServer. */
export async function deployServer({ options, cwd, signal, note }: Context): Promise<void> {
  const { bundle, host, key } = options
  const connection = { prompts: nobody(host), signal, env: process.env }
  const { resources } = await setUpServer(host, {
    connection,
    keys: key === undefined ? await offeredKeys(host, connection) : [await keyInFile(resolve(cwd, key))],
    bundleFor: async () => bundle.path,
    password: () => connection.prompts.secret('the password of fleetsie'),
    planOnly: false,
    planned: () => {},
    changed: ({ resource, difference }) => note(`${host}: ${resource.name}: ${difference.because}`),
  })
  note(`${host}: ${resources} resources are as they should be`)
}

/** A stage has no terminal. */
function nobody(host: string): Prompts {
  const refuse = async (question: string): Promise<never> => {
    throw new FleetsieError('E_USAGE', `a stage asks nobody: ${question.trim()}`, {
      hint: `run \`fleetsie srv ${host}\` once`,
    })
  }
  return { secret: refuse, confirm: refuse }
}
