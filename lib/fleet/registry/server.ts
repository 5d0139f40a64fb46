/** What the requests work on: a server's folder, its clock, and what has to be done as root. */
import type { FleetFiles } from './fleet-files.ts'

/** The verbs of units/fleetsie_root. */
export interface RootHelper {
  /** The user fleetsie_FLEET and its folders. */
  addFleet(fleet: string): Promise<void>
  /** Replaces that user's authorized_keys. */
  writeKeys(fleet: string, text: string): Promise<void>
  /** Gives the fleet's databases to that user. */
  ownFiles(fleet: string): Promise<void>
  /** Ends the ssh sessions of devices and disks, or of all of a fleet. */
  endSession(fleet: string, names: readonly string[] | undefined): Promise<void>
}

export interface Server {
  /** The home of `fleetsie`. */
  folder: string
  /** How comments of keys call this machine. */
  name: string
  helper: RootHelper
  /** The databases of a fleet, which only its own user opens. */
  files(fleet: string): FleetFiles
  /** Unix seconds. */
  now(): number
  /** Told of each step that is done, so that tests can end the process there. */
  reached?(step: Step): void
}

/** In this order. */
export const steps = ['user', 'files', 'main', 'provisioning', 'keys', 'fleet'] as const
export type Step = (typeof steps)[number]
