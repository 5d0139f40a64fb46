/**
 * fleetsie_auth FLEET [LOT]: what the key of a provisioning disk runs on the fleet server, one claim a time. Loads
 * nothing that a claim does not need: a thousand devices may be switched on together. Its starter exits with 0, whatever becomes of it.
 */
import { readSync, writeSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { maxRequest } from '../claim/request.ts'
import { serveClaim } from '../claim/serve.ts'
import { checkFleet } from '../names.ts'
import { fleetFile, provisioningFile, serverFolder } from '../registry/paths.ts'

/** The file that takes the line for the audit: units/fleetsie_start. */
const audit = 3

const fleet = checkFleet(process.argv[2] ?? '')
const [address = ''] = (process.env['SSH_CONNECTION'] ?? '').split(' ')
const caller = {
  fleet,
  lot: process.argv[3],
  // Neither node:net for its isIP nor process.stdin, which loads it: 5 ms.
  ip: /^[0-9a-f.:]{2,45}$/i.test(address) ? address : undefined,
  now: Date.now() / 1000,
}
const line = serveClaim(said(), (answer) => write(1, answer), caller, {
  fleet: fleetFile(serverFolder, fleet),
  provisioning: provisioningFile(serverFolder, fleet),
  authorizedKeys: join(homedir(), '.ssh', 'authorized_keys'),
})
write(audit, `${line}\n`)

/** All that the device said: units/fleetsie_gate.sh has waited for it, and keeps to the limit. */
function said(): string {
  const bytes = Buffer.alloc(maxRequest + 1)
  let size = 0
  for (let read = -1; read !== 0 && size < bytes.length; size += read)
    read = readSync(0, bytes, { offset: size })
  return bytes.toString('latin1', 0, size)
}

/** Nobody there to hear an answer: the device will ask again. A log that is down keeps nobody out. */
function write(file: number, text: string): void {
  try {
    writeSync(file, text)
  } catch {
    // See above.
  }
}
