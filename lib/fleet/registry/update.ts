/**
 * Every change of a fleet, and the repair of what an earlier one left undone. Main is written first and decides; then the
 * others are made to say the same, so that whatever ends the process in between, the next run completes it:
 * Main, Provisioning, authorized_keys, Fleet.
 */
import { lstatSync } from 'node:fs'
import { hashOtp, makeOtp } from '../names.ts'
import type { FleetDatabase } from './database.ts'
import type { FleetFiles } from './fleet-files.ts'
import { checkWhole } from './fleet-rows.ts'
import { authorizedKeys } from './keys.ts'
import { lockServer } from './lock.ts'
import type { ClearOtp } from './migrate.ts'
import { fleetMode, openMain } from './open.ts'
import { fleetFile, provisioningFile } from './paths.ts'
import type { Otps } from './provisioning.ts'
import { copyRegistrations, mainRows } from './registrations.ts'
import type { Server } from './server.ts'
import { wantedOf } from './sync.ts'

export interface FleetChange<T> {
  /** Refuses before anything is made. */
  check?(main: FleetDatabase): void
  /** Makes the change, in a transaction of Main. An OTP that it takes out of `otps` is made anew. */
  apply(main: FleetDatabase, otps: Otps): { result: T; warnings?: string[] }
  /** Takes it back in Main when the rest failed. */
  undo?(main: FleetDatabase, result: T): void
}

export interface Updated<T> {
  result: T
  /** Of each device that nobody has claimed. */
  otps: Otps
  warnings: string[]
  /** Main as it is now, to read the answer from. */
  main: FleetDatabase
}

/**
 * Copies new registrations to Main, makes `change`, brings everything in step, then calls `answer` while the server is still
 * locked. Fails with E_DAMAGED or E_UNSAFE where a file is not what it should be, E_IO where it cannot be written.
 */
export async function updateFleet<T, A>(
  server: Server,
  fleet: string,
  change: FleetChange<T>,
  answer: (updated: Updated<T>) => A,
): Promise<A> {
  const unlock = lockServer(server.folder)
  try {
    const { db: main, clear } = openMain(server.folder)
    try {
      checkWhole(main)
      change.check?.(main)
      await server.helper.addFleet(fleet)
      // An older tool's files may be those of the fleet's user alone.
      await settleFiles(server, fleet)
      server.reached?.('user')
      return answer({ main, ...(await inStep(server, main, fleet, change, clear)) })
    } finally {
      main.close()
    }
  } finally {
    unlock()
  }
}

// Not each time: it would ask for a file's owner while a claim makes and removes a journal. Nothing is opened.
async function settleFiles(server: Server, fleet: string): Promise<void> {
  const unsettled = [fleetFile(server.folder, fleet), provisioningFile(server.folder, fleet)].some((file) => {
    const found = lstatSync(file, { throwIfNoEntry: false })
    // A link is refused by whoever opens it.
    return found?.isFile() && (found.uid === process.getuid?.() || (found.mode & 0o777) !== fleetMode)
  })
  if (unsettled) await server.helper.ownFiles(fleet)
}

async function inStep<T>(
  server: Server,
  main: FleetDatabase,
  fleet: string,
  change: FleetChange<T>,
  clear: readonly ClearOtp[],
): Promise<{ result: T; otps: Otps; warnings: string[] }> {
  const files = server.files(fleet)
  try {
    // Claims wait from here on.
    const begun = await files.begin()
    server.reached?.('files')
    const older = [...clear, ...begun.clear].filter((row) => row.fleet === fleet)
    const otps: Otps = new Map(begun.otps)
    for (const { id_in_fleet: id, otp } of older) otps.set(id, otp)
    const anew = begun.otps === undefined
    const warnings = lostFiles(main, fleet, begun.made, anew && older.length === 0)

    const { result, copied } = main.transaction(() => {
      const copied = copyRegistrations(main, fleet, begun.rows, fleetFile(server.folder, fleet))
      const { result, warnings: more = [] } = change.apply(main, otps)
      renewOtps(main, fleet, otps)
      return { result, copied: [...copied, ...more] }
    })
    warnings.push(...copied)
    server.reached?.('main')
    try {
      await follow(server, main, files, fleet, { otps, anew })
    } catch (error) {
      takeBack(main, () => change.undo?.(main, result))
      throw error
    }
    server.reached?.('fleet')
    return { result, otps, warnings }
  } finally {
    await files.close()
  }
}

async function follow(
  server: Server,
  main: FleetDatabase,
  files: FleetFiles,
  fleet: string,
  { otps, anew }: { otps: Otps; anew: boolean },
): Promise<void> {
  const now = server.now()
  await files.provision(otps, anew)
  server.reached?.('provisioning')
  // Before Fleet is unlocked: a claim adds its line while it holds the same lock. From here on the change is what counts:
  // a claim believes what it reads there more than Fleet, which says it last.
  await server.helper.writeKeys(fleet, authorizedKeys(main, fleet, server.name, now))
  server.reached?.('keys')
  await files.finish(wantedOf(main, fleet), now)
}

/** Leaves in `otps` those of unclaimed devices that Main has the hash of, and gives the others new ones. */
function renewOtps(main: FleetDatabase, fleet: string, otps: Otps): void {
  const unclaimed = new Set<number>()
  for (const { id, id_in_fleet: number, hwid, otp } of mainRows(main, fleet)) {
    if (hwid !== null) continue
    unclaimed.add(number)
    const known = otps.get(number)
    if (known !== undefined && hashOtp(known) === otp) continue
    const made = makeOtp()
    otps.set(number, made)
    main.run('UPDATE devices SET otp = ? WHERE id = ?', hashOtp(made), id)
  }
  for (const id of otps.keys()) if (!unclaimed.has(id)) otps.delete(id)
}

// The error that is on its way says more than one of these; what stays, the next run completes.
function takeBack(main: FleetDatabase, undo: () => void): void {
  try {
    main.transaction(undo)
  } catch {
    // The disk is full, for one.
  }
}

function lostFiles(
  main: FleetDatabase,
  fleet: string,
  fleetMade: boolean,
  provisioningLost: boolean,
): string[] {
  const rows = mainRows(main, fleet)
  const warnings: string[] = []
  if (fleetMade && rows.length > 0) {
    warnings.push('fleet.sqlite was not there: it was made anew; claims since the last `gen` are lost')
  }
  if (provisioningLost && rows.some(({ hwid }) => hwid === null)) {
    warnings.push(
      'provisioning.sqlite was not there or damaged: unclaimed devices have new passwords; write their disks again',
    )
  }
  return warnings
}
