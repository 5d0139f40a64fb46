/**
 * fleetsie_auth FLEET [LOT]: what the key of a provisioning disk runs on the fleet server, one claim a time. Loads
 * nothing that a claim does not need: a thousand devices may be switched on together. Always exits with 0.
 */
import { isIP } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runner } from '../../engine/process.ts'
import { serveClaim } from '../claim/serve.ts'
import { checkFleet } from '../names.ts'
import { fleetFile, provisioningFile, serverFolder } from '../registry/paths.ts'

const fleet = checkFleet(process.argv[2] ?? '')
const address = process.env['SSH_CONNECTION']?.split(' ')[0] ?? ''
const caller = {
  fleet,
  lot: process.argv[3],
  ip: isIP(address) ? address : undefined,
  now: Date.now() / 1000,
}
const line = await serveClaim(process.stdin, process.stdout, caller, {
  fleet: fleetFile(serverFolder, fleet),
  provisioning: provisioningFile(serverFolder, fleet),
  authorizedKeys: join(homedir(), '.ssh', 'authorized_keys'),
})
// A syslog that is down keeps nobody out.
const run = runner({ home: '/' })
await run('logger', ['-t', 'fleetsie_auth', '-p', 'auth.info', '--', line], { timeout: 5_000 }).catch(
  () => {},
)
process.exit(0)
