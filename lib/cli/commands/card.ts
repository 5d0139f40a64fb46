/** The verbs that write cards and disks. */
import type { Command } from 'commander'
import { FleetsieError } from '../../errors.ts'
import type { Session } from '../session.ts'
import { append, verb } from './verb.ts'

export function cardCommands(root: Command, session: Session): void {
  verb(
    root,
    'updatesd [device...]',
    'write the partitions of an image to those of a card, or with --whole the image to whole cards',
    'updatesd sdc1 sdc2',
  )
    .option('--whole', 'each device is a whole card; several are written at once')
    .option('--image <image>', 'a target of pipeline.ts, or a file; default: the desk, else the first target')
    .option('-y, --yes', 'do not ask')
    .option('--yes-really', 'take a device that is not removable as well')
    .option('--unmount', 'unmount what is mounted of the card')
    .option('--full', 'write all that the image holds, whatever the card has')
    .option('--files', "update file by file and keep the device's own state")
    .option('--set <name=value>', 'a value for this device: hostname=pi-7, password=@FILE', append)
    .option('--csv <file>', 'values of several devices, one row for each card')
    .option('--row <name>', 'the row of the CSV for this card, by its host name')
    .option('-n, --dry-run', 'only look, and say what would be written')
    .addHelpText('after', updatesdHelp)
    .action(async (devices: string[], options) =>
      (await import('../verbs/updatesd.ts')).updatesd(session, devices, options),
    )

  verb(
    root,
    'devices [fleet...]',
    'list the cards and disks that are here, and what is on them, or the devices of fleets',
    'devices',
  )
    .option('--host <host>', "the fleets' server; default: the one that was last used")
    .option('--online', 'those that are connected')
    .option('--away', 'those that have claimed and are not connected')
    .option('--unclaimed', 'those that no device has claimed')
    .option('--revoked', 'those that were revoked')
    .option('--name <pattern>', "those whose names match: 'barn-1*'")
    .option('--disks', 'the disks of the fleet instead: until when they can claim, and how much is on them')
    .option('--csv', 'print comma-separated values')
    .addHelpText('after', devicesHelp)
    .action(async (fleets: string[], options) => {
      if (fleets.length > 0) {
        return (await import('../verbs/fleet-devices.ts')).fleetDevices(session, fleets, options)
      }
      const { json: _, ...others } = options
      if (Object.keys(others).length > 0) {
        throw new FleetsieError('E_USAGE', 'which fleet? These options are about the devices of one', {
          hint: 'fleetsie devices FLEET@HOST --online',
        })
      }
      return (await import('../verbs/devices.ts')).devices(session, options)
    })
}

const devicesHelp = `
  $ fleetsie devices barn@fleet.example.org
  $ fleetsie devices barn --online --csv >online.csv`

const updatesdHelp = `
<device> is a name without /dev/, a path below /dev, or a file, written with a
slash: ./card.img.
To write two whole cards from one image, without a question:
  $ fleetsie updatesd --whole sdc sdd --image out/debian_fleetsie.img.xz -y`
