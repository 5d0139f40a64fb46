/**
 * The claim core: which device gets which identity. One decision in one transaction, for whatever front end asks;
 * knows nothing of lines, files and sockets.
 */
import { timingSafeEqual } from 'node:crypto'
import { hashOtp } from '../names.ts'
import type { FleetDatabase } from '../registry/database.ts'
import type { LotRow } from '../registry/schema.ts'
import type { Answer } from './answer.ts'
import { type IdentityRow, identityLines } from './identity.ts'
import type { ClaimRequest } from './request.ts'
import { makeKey, seal, unseal } from './sealed.ts'

/** Who asks, by the key that it logged in with. */
export interface Caller {
  fleet: string
  /** The lot of its disk; undefined for the older tool's disks, which may claim any device of the fleet. */
  lot: string | undefined
  ip: string | undefined
  /** Unix seconds. */
  now: number
}

/** A device that has its identity, and what its line in authorized_keys needs. */
export interface Claimed {
  id: number
  idInFleet: number
  hostname: string
  port: number
  key: string
  /** False when the device asks again, for it did not get the answer. */
  fresh: boolean
}

export interface Outcome {
  answer: Answer
  claimed?: Claimed
}

/** How long the same device gets the same answer again, seconds. */
const againSeconds = 24 * 60 * 60

/** Decides a claim, durably when this returns. Fails with E_IO or E_DAMAGED, the database then unchanged. */
export function decideClaim(db: FleetDatabase, request: ClaimRequest, caller: Caller): Outcome {
  return db.transaction(() => decide(db, request, caller))
}

/** Whether the device still has what it claimed: it may have been revoked, or given another key, since. */
export function stillHas(db: FleetDatabase, { id, port, key }: Claimed): boolean {
  const sql = 'SELECT 1 FROM devices WHERE id = ? AND tunnel_port = ? AND server_public_key = ?'
  return db.get(sql, id, port, key) !== undefined
}

function decide(db: FleetDatabase, request: ClaimRequest, caller: Caller): Outcome {
  const { fleet, lot } = caller
  const refusal = refuseLot(db, caller) ?? refuseForm(db, request, fleet)
  if (refusal !== undefined) return { answer: { kind: 'Error', message: refusal } }
  const row = findRow(db, fleet, request.otp)
  const foreign = lot !== undefined && row !== undefined && !isOfLot(db, lot, row.id_in_fleet)
  if (!row || foreign) return { answer: { kind: 'Bad' } }
  // Any other who holds the OTP of a revoked device learns no more than who guesses.
  if (row.hwid?.startsWith('revoked:') && !row.hwid.endsWith(`:${request.hwid}`))
    return { answer: { kind: 'Bad' } }
  if (wasRevoked(db, request.hwid)) return { answer: { kind: 'Error', message: 'this device was revoked' } }
  if (row.hwid === request.hwid) return again(db, row, request, caller)
  if (db.get('SELECT 1 FROM devices WHERE hwid = ?', request.hwid)) return registered(request.hwid)
  if (row.hwid === null) return hasKey(db, request.key) ? keyTaken : register(db, row, request, caller)
  const id = lowestUnclaimed(db, caller)
  return { answer: id === undefined ? { kind: 'Full' } : { kind: 'Try', id } }
}

function refuseLot(db: FleetDatabase, { fleet, lot, now }: Caller): string | undefined {
  if (lot === undefined) return undefined
  const sql = 'SELECT ts_expires, ts_revoked FROM lots WHERE lot = ? AND fleet = ?'
  const found = db.get<Pick<LotRow, 'ts_expires' | 'ts_revoked'>>(sql, lot, fleet)
  if (!found) return 'this disk is not known here'
  if (found.ts_revoked !== null) return 'this disk was revoked'
  if (found.ts_expires !== null && found.ts_expires <= now) return 'this disk has expired'
  return undefined
}

function refuseForm(db: FleetDatabase, request: ClaimRequest, fleet: string): string | undefined {
  if (request.key === undefined) {
    const allowed = db.get('SELECT 1 FROM fleets WHERE fleet = ? AND server_keys = 1', fleet)
    return allowed ? undefined : 'this fleet takes only devices that make their own keys (fleetsie 2)'
  }
  // sshd takes the first line of a key: this one would go on claiming, or claim no more.
  const ofDisk = db.get('SELECT 1 FROM lots WHERE key = ?', request.key)
  return ofDisk ? 'the key of a disk cannot be the key of a device' : undefined
}

/** One look-up, whatever was sent; who measures its time learns of the sha256 of what he sent, at most. */
function findRow(db: FleetDatabase, fleet: string, otp: string): IdentityRow | undefined {
  const hash = hashOtp(otp)
  const row = db.get<IdentityRow>('SELECT * FROM devices WHERE fleet = ? AND otp = ?', fleet, hash)
  const found = row?.otp ?? hashOtp('')
  return timingSafeEqual(Buffer.from(hash), Buffer.from(found)) ? row : undefined
}

function isOfLot(db: FleetDatabase, lot: string, idInFleet: number): boolean {
  const sql = 'SELECT 1 FROM lot_devices WHERE lot = ? AND id_in_fleet = ?'
  return db.get(sql, lot, idInFleet) !== undefined
}

/** What a device is told to try that came second: of its own disk, for it has no other OTPs. */
function lowestUnclaimed(db: FleetDatabase, { fleet, lot }: Caller): number | undefined {
  const sql = `SELECT id_in_fleet FROM devices WHERE fleet = ? AND hwid IS NULL AND (? IS NULL OR EXISTS
    (SELECT 1 FROM lot_devices WHERE lot = ? AND lot_devices.id_in_fleet = devices.id_in_fleet))
    ORDER BY id_in_fleet LIMIT 1`
  return db.get<{ id_in_fleet: number }>(sql, fleet, lot ?? null, lot ?? null)?.id_in_fleet
}

/** A range of the index on hwid: of a million devices only the revoked ones are looked at. */
function wasRevoked(db: FleetDatabase, hwid: string): boolean {
  const sql = `SELECT 1 FROM devices WHERE hwid > 'revoked:' AND hwid < 'revoked;' AND substr(hwid, -18) = ?`
  return db.get(sql, `:${hwid}`) !== undefined
}

const keyTaken: Outcome = {
  answer: { kind: 'Error', message: 'the key of another device cannot be the key of this one' },
}

/** sshd takes the first line of a key: its owner would hold another device's port, or none. Older keys have a comment. */
function hasKey(db: FleetDatabase, key: string | undefined): boolean {
  const sql = `SELECT 1 FROM devices WHERE server_public_key <> '' AND server_public_key >= ? AND server_public_key < ?`
  return key !== undefined && db.get(sql, key, `${key}!`) !== undefined
}

function register(db: FleetDatabase, row: IdentityRow, request: ClaimRequest, caller: Caller): Outcome {
  const made = request.key === undefined ? makeKey(row.hostname) : { publicKey: request.key, privateKey: '' }
  const kept = made.privateKey === '' ? '' : seal(made.privateKey, request.otp, sealedFor(row))
  const changes = db.run(
    `UPDATE devices SET hwid = ?, ts_registered = ?, ip_provisioned_from = ?, server_public_key = ?,
     server_private_key = ? WHERE id = ? AND hwid IS NULL`,
    request.hwid,
    caller.now,
    caller.ip ?? null,
    made.publicKey,
    kept,
    row.id,
  )
  if (changes !== 1) throw new Error(`the claim of row ${row.id} changed ${changes} rows`)
  return ok(db, { ...row, server_public_key: made.publicKey }, made.privateKey, true)
}

/** The answer for a row that this very device has registered already. */
function again(db: FleetDatabase, row: IdentityRow, request: ClaimRequest, caller: Caller): Outcome {
  // A clock that has been set back since must lock no device out.
  const late = row.ts_registered === null || caller.now - row.ts_registered > againSeconds
  const other = request.key !== undefined && request.key !== row.server_public_key
  if (late || other) return registered(request.hwid)
  if (request.key !== undefined) return ok(db, row, '', false)
  const privateKey = unseal(row.server_private_key, request.otp, sealedFor(row))
  return privateKey === undefined ? registered(request.hwid) : ok(db, row, privateKey, false)
}

function registered(hwid: string): Outcome {
  return { answer: { kind: 'Error', message: `hardware id ${hwid} already registered` } }
}

function ok(db: FleetDatabase, row: IdentityRow, privateKey: string, fresh: boolean): Outcome {
  const claimed = {
    id: row.id,
    idInFleet: row.id_in_fleet,
    hostname: row.hostname,
    port: row.tunnel_port,
    key: row.server_public_key,
    fresh,
  }
  return { answer: { kind: 'Ok', lines: identityLines(db, row, privateKey) }, claimed }
}

function sealedFor(row: IdentityRow): string {
  return `${row.hostname} server_private_key`
}
