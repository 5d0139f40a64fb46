/** server: makes a machine a server of fleets, or keeps it one. */
import * as v from 'valibot'
import { input, stage } from '../lib/engine/stage.ts'

export const server = stage({
  name: 'server',
  kind: 'deploy',
  module: import.meta.url,
  summary: 'Sets up a server of fleets, or brings it up to date.',
  description: `From what \`serverBundle\` made to a machine behind ssh: what the verb \`srv\` does (docs/srv.md). It is applied at each
build, for a server can change unseen; it looks at everything in one round trip and changes what differs.

Nobody is asked: the host key has to be known, the ssh key has to be at hand, and the user of \`host\` has to be root or
one whom sudo asks for no password. Only the verb asks for the password of a user \`fleetsie\` that is not there yet, so
the first time is the verb's. No secret is among the options: they are part of a key.`,
  example: "server({ bundle: serverBundle({ architecture: 'x64' }), host: 'root@fleet.example' })",
  options: v.strictObject({
    bundle: v.pipe(input(), v.description('What `serverBundle` made, for the architecture of the server.')),
    host: v.pipe(v.string(), v.nonEmpty(), v.description('`USER@SERVER` or `USER@SERVER:PORT`.')),
    key: v.pipe(
      v.optional(v.pipe(v.string(), v.nonEmpty())),
      v.description('File of the public key that may log in as fleetsie. Default: one that ssh would offer.'),
    ),
  }),
  always: true,
  pool: 'net',

  async apply(context) {
    const { deployServer } = await import('../lib/fleet/deploy-server.ts')
    await deployServer(context)
    return []
  },
})
