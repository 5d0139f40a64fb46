/**
 * A fleet's own two databases, Fleet and Provisioning. They lie in a folder of its user's, who may put a link or a journal
 * there at any moment: so nobody but that user opens them, and nothing that SQLite then follows, plays back or removes is
 * more than the user's own. What comes out of them is checked by whoever asked.
 */
import type { FleetDatabase } from './database.ts'
import { checkWhole, type FleetRows, readFleetRows } from './fleet-rows.ts'
import type { ClearOtp } from './migrate.ts'
import { openFile, openFleet } from './open.ts'
import { fleetFile } from './paths.ts'
import { type Otps, readProvisioning, writeProvisioning } from './provisioning.ts'
import { syncFleet, type Wanted } from './sync.ts'

/** What Fleet says now, for a list. */
export interface FleetContents {
  login_key: string
  rows: FleetRows
  /** id_in_fleet → the disk whose list had it last. */
  lots: Map<number, string>
}

export interface Begun {
  rows: FleetRows
  /** Undefined where Provisioning is not there or damaged. */
  otps: Otps | undefined
  /** Whether Fleet was not there before. */
  made: boolean
  /** OTPs that an older file held in clear, now hashed. */
  clear: ClearOtp[]
}

/** In this order: `begin`, `provision`, `finish`, `close`; or `read`, `close`. Each fails with what the files are. */
export interface FleetFiles {
  /** Undefined for a file that is still that of the older tool. */
  read(): Promise<FleetContents | undefined>
  /** Takes the write lock of Fleet: claims wait from here on. */
  begin(): Promise<Begun>
  /** Makes Provisioning hold just `otps`; `anew`: whatever is there goes. */
  provision(otps: Otps, anew: boolean): Promise<void>
  /** Makes Fleet say what Main says, and lets go of the lock. `now`: unix seconds. */
  finish(wanted: Wanted, now: number): Promise<void>
  /** Takes back what was not finished. */
  close(): Promise<void>
}

/** The files of `fleet` below `folder`, opened by this process. */
export class LocalFleetFiles implements FleetFiles {
  readonly #folder: string
  readonly #fleet: string
  #db: FleetDatabase | undefined
  #rows: FleetRows = new Map()

  constructor(folder: string, fleet: string) {
    this.#folder = folder
    this.#fleet = fleet
  }

  async read(): Promise<FleetContents | undefined> {
    this.#db = openFile(fleetFile(this.#folder, this.#fleet))
    // Whoever takes it over has to know where to put the OTPs that it holds in clear.
    if (this.#db.pragma('user_version') === 0) return undefined
    this.#db.close()
    this.#db = openFleet(this.#folder, this.#fleet).db
    const fleet = this.#db.get<{ login_key: string }>(
      'SELECT login_key FROM fleets WHERE fleet = ?',
      this.#fleet,
    )
    const lots = this.#db.all<{ id: number; lot: string }>(
      'SELECT id_in_fleet AS id, lot FROM lot_devices JOIN lots USING (lot) ORDER BY ts_generated',
    )
    return {
      login_key: fleet?.login_key ?? '',
      rows: readFleetRows(this.#db, this.#fleet),
      lots: new Map(lots.map(({ id, lot }) => [id, lot])),
    }
  }

  async begin(): Promise<Begun> {
    const { db, made, clear } = openFleet(this.#folder, this.#fleet)
    this.#db = db
    checkWhole(db)
    db.begin()
    this.#rows = readFleetRows(db, this.#fleet)
    return { rows: this.#rows, otps: readProvisioning(this.#folder, this.#fleet), made, clear }
  }

  async provision(otps: Otps, anew: boolean): Promise<void> {
    writeProvisioning(this.#folder, this.#fleet, otps, anew)
  }

  async finish(wanted: Wanted, now: number): Promise<void> {
    if (!this.#db) throw new Error('finish without begin')
    syncFleet(this.#db, this.#fleet, wanted, this.#rows, now)
    this.#db.commit()
  }

  async close(): Promise<void> {
    this.#db?.close()
    this.#db = undefined
  }
}
