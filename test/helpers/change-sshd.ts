/**
 * A program for tests: changes sshd's configuration on a machine as srv does, as
 * `change-sshd.ts USER@HOST PASSWORD PATH CONTENT SECONDS [die]`. With `die` it is gone, as by kill -9, when the change is in
 * force and no new login has proven it.
 */
import { apply, plan } from '../../lib/hosts/converge.ts'
import { placeAt } from '../../lib/hosts/place.ts'
import { sshdDropIn } from '../../lib/hosts/resources/sshd.ts'
import { sshdSocket } from '../../lib/hosts/resources/sshd-socket.ts'
import { connect } from '../../lib/hosts/ssh/connect.ts'
import type { Host } from '../../lib/hosts/ssh/types.ts'

const [destination = '', password = '', path = '', content = '', seconds = '', die] = process.argv.slice(2)
const { signal } = new AbortController()
const prompts = { secret: async () => password, confirm: async () => false }
const login = (): Promise<Host> => connect(destination, { prompts, signal, env: process.env })
const again = (): Promise<Host> => {
  if (die === 'die') process.kill(process.pid, 'SIGKILL')
  return login()
}
const host = await login()
const place = placeAt(host, { again, signal })
const resources = [sshdSocket(), sshdDropIn(path, content, { rollbackAfter: Number(seconds) })]
await apply(place, resources, await plan(place, resources), () => {})
await host.close()
