/**
 * fleetsie_auth FLEET [LOT]: what the key of a provisioning disk runs on the fleet server, one claim a time. Loads
 * nothing that a claim does not need: a thousand devices may be switched on together. Always exits with 0.
 */
import { writeSync } from 'node:fs'
import { isIP } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { serveClaim } from '../claim/serve.ts'
import { checkFleet } from '../names.ts'
import { fleetFile, provisioningFile, serverFolder } from '../registry/paths.ts'

/** The file that takes the line for the audit: units/fleetsie_start. */
const audit = 3

async function main(): Promise<void> {
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
  // The starter has logger at its other end, or nobody.
  try {
    writeSync(audit, `${line}\n`)
  } catch {
    // A log that is down keeps nobody out.
  }
  process.exit(0)
}

void main()
