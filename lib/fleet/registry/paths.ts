/** Where the three databases are, as documented. */
import { join } from 'node:path'

/** The home of the user `fleetsie`, which everything else is below. */
export const serverFolder = '/home/fleetsie'

export const mainFile = (folder: string): string => join(folder, 'fleets.sqlite')
export const fleetFolder = (folder: string, fleet: string): string => join(folder, 'fleets', fleet)
export const fleetFile = (folder: string, fleet: string): string =>
  join(fleetFolder(folder, fleet), 'fleet.sqlite')
export const provisioningFile = (folder: string, fleet: string): string =>
  join(fleetFolder(folder, fleet), 'provisioning.sqlite')
