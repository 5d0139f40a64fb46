/** The verbs of the fleet: its server, its disks, its devices. */
import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { age, positive, verb } from './verb.ts'

export function fleetCommands(root: Command, session: Session): void {
  verb(
    root,
    'srv <user@server...>',
    'set up servers for use with gen, or bring them up to date',
    'srv root@server',
  )
    .option('--plan', 'say what would change, and change nothing')
    .option('--key <file>', 'the public key that may log in as fleetsie; default: one of yours')
    .option('-j, --jobs <n>', 'how many servers at once', positive, 4)
    .addHelpText('after', srvHelp)
    .action(async (servers: string[], options) =>
      (await import('../verbs/srv.ts')).srv(session, servers, options),
    )

  verb(
    root,
    'gen <fleet_name> <fleet_host> [num] [usb_partition]',
    'allocate devices for a fleet on its server, and write the USB disk that provisions them',
    'gen hull fleet.example.org 100 sda1',
  )
    .option('--expires <age>', 'how long the disk can claim devices: 30d, 12h, never', lifetime, 90 * day)
    .option('--server-keys', 'let devices that speak the two-line form claim: the server makes their keys')
    .option('--zip [file]', "the disk's files as a zip; default: FLEET_files_for_usb_disk.zip")
    .option('--unmount', 'unmount the partition first; else what is mounted is written where it is mounted')
    .option('--yes-really', 'take a disk that is not removable as well')
    .addHelpText('after', genHelp)
    .action(async (fleet: string, host: string, num?: string, disk?: string, options = {}) =>
      (await import('../verbs/gen.ts')).gen(session, [fleet, host, num, disk], options),
    )
}

const day = 86_400_000

function lifetime(text: string): number | 'never' {
  return text === 'never' ? text : age(text)
}

const genHelp = `
You log in as fleetsie@<fleet_host>; without <num> and <usb_partition> only that is tried. <num> devices are added to those
that are there. <usb_partition> is a name without /dev/; what begins with / is a folder that is there:
  $ fleetsie_gen hull fleet.example.org 0 /media/me/STICK`

const srvHelp = `
USER is root or may use sudo. The password of the user fleetsie is asked for when that user has to be made.
To see what would be done to two servers, as JSON:
  $ fleetsie srv --plan --json root@one admin@two:2222`
