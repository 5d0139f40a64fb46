/** A fleet as a server has it, in a folder: databases, keys, disks. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Caller, decideClaim, type Outcome } from '../../lib/fleet/claim/claim.ts'
import { type ClaimPlaces, serveClaim } from '../../lib/fleet/claim/serve.ts'
import { hashOtp, makeOtp } from '../../lib/fleet/names.ts'
import { FleetDatabase } from '../../lib/fleet/registry/database.ts'
import { openFleet } from '../../lib/fleet/registry/open.ts'
import { fleetFile, fleetFolder, provisioningFile } from '../../lib/fleet/registry/paths.ts'
import { writeProvisioning } from '../../lib/fleet/registry/provisioning.ts'
import { newEd25519Key } from '../../lib/formats/ed25519.ts'
import { publicKeyLine } from '../../lib/formats/openssh-key.ts'

export const loginKey = `cert-authority,principals="fleetsie" ${newKey()} birds login`

/** A public key as a device makes one. */
export function newKey(): string {
  return publicKeyLine(newEd25519Key().publicKey)
}

/** The n-th hardware id. */
export const hwid = (n: number): string =>
  `02:00:${n
    .toString(16)
    .padStart(8, '0')
    .replace(/..(?=.)/g, '$&:')}`

/** A fleet `birds` with devices 1 to `size`; the ports are 20000 + id. */
export class ClaimFleet {
  readonly db: FleetDatabase
  readonly otps: string[]
  readonly places: ClaimPlaces
  /** Unix seconds. */
  now = 1_800_000_000

  constructor(folder: string, size: number, given: { serverKeys?: boolean } = {}) {
    mkdirSync(fleetFolder(folder, 'birds'), { recursive: true })
    this.db = openFleet(folder, 'birds').db
    this.places = {
      fleet: fleetFile(folder, 'birds'),
      provisioning: provisioningFile(folder, 'birds'),
      authorizedKeys: join(folder, 'authorized_keys'),
    }
    this.otps = Array.from({ length: size }, makeOtp)
    writeProvisioning(folder, 'birds', new Map(this.otps.map((otp, i) => [i + 1, otp])), true)
    this.db.transaction(() => {
      this.db.run('INSERT INTO fleets VALUES (?, ?, ?)', 'birds', loginKey, given.serverKeys ? 1 : 0)
      for (const [i, otp] of this.otps.entries()) {
        this.db.run(
          `INSERT INTO devices VALUES (?, 'birds', ?, 'fleetsie_birds', ?, NULL, ?, 1, NULL, ?, ?, '', '', '', NULL)`,
          i + 1,
          i + 1,
          `birds-${i + 1}`,
          hashOtp(otp),
          20_001 + i,
          loginKey,
        )
      }
    })
  }

  /** A disk with these devices. */
  lot(name: string, ids: readonly number[], key: string = newKey(), expires: number | null = null): void {
    this.db.run('INSERT INTO lots VALUES (?, ?, ?, 1, ?, NULL)', name, 'birds', key, expires)
    for (const id of ids) this.db.run('INSERT INTO lot_devices VALUES (?, ?)', name, id)
  }

  caller(lot?: string): Caller {
    return { fleet: 'birds', lot, ip: '192.0.2.7', now: this.now }
  }

  /** The core alone. `id` stands for its OTP. */
  claim(device: number, id: number, key: string | undefined, lot?: string): Outcome {
    const request = { hwid: hwid(device), otp: this.otps[id - 1] ?? '', key }
    return decideClaim(this.db, request, this.caller(lot))
  }

  /** The answer to what is said, as the forced command prints it. */
  ask(said: string, lot?: string): string {
    return this.serve(said, lot).answer
  }

  /** The answer, and what the server's log says of it. */
  serve(said: string, lot?: string): { answer: string; audit: string } {
    let answer = ''
    const keep = (text: string): void => {
      answer = text
    }
    const audit = serveClaim(said, keep, this.caller(lot), this.places)
    return { answer, audit }
  }

  /** Who is in authorized_keys, each line checked. */
  keyLines(): string[] {
    return existsSync(this.places.authorizedKeys)
      ? readFileSync(this.places.authorizedKeys, 'latin1').split('\n').slice(0, -1)
      : []
  }

  /** The devices whose OTPs provisioning.sqlite still has. */
  unclaimed(): number[] {
    const db = new FleetDatabase(this.places.provisioning)
    const rows = db.all<{ id_in_fleet: number }>('SELECT id_in_fleet FROM devices ORDER BY 1')
    db.close()
    return rows.map((row) => row.id_in_fleet)
  }
}

/** `fleetsie 2` as our devices say it. */
export const ourForm = (device: number, otp: string, key: string): string =>
  `fleetsie 2\nhwid: ${hwid(device)}\notp: ${otp}\nkey: ${key}\n\n`
