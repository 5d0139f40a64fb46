/** The verbs of the fleet: its server, its disks, its devices. */
import { type Command, InvalidArgumentError, Option } from 'commander'
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

  const gen = verb(
    root,
    'gen <fleet_name> <fleet_host> [num] [usb_partition]',
    'allocate devices for a fleet on its server, and write the USB disk that provisions them',
    'gen hull fleet.example.org 100 sda1',
  )
    .addOption(
      new Option('--expires <age>', 'how long the disk can claim devices: 30d, 12h, never')
        .argParser(lifetime)
        .default(90 * day, '90d'),
    )
    .option('--server-keys', 'let devices that speak the two-line form claim: the server makes their keys')
    .option('--no-server-keys', 'let them claim no more; those that have claimed stay')
    .option('--zip [file]', "the disk's files as a zip; default: FLEET_files_for_usb_disk.zip here")
    .option('--unmount', 'unmount the partition first; else what is mounted is written where it is mounted')
    .option('--yes-really', 'take a disk that is not removable as well')
    .addHelpText('after', genHelp)
    .action(async (fleet: string, host: string, num?: string, disk?: string, options = {}) =>
      (await import('../verbs/gen.ts')).gen(session, [fleet, host, num, disk], options),
    )
  const parse = gen.parseOptions.bind(gen)
  gen.parseOptions = (words) => parse(zipApart(words))

  // Before those of ssh itself are told apart from ours by where they stand.
  root.enablePositionalOptions()
  verb(
    root,
    'ssh <fleet-n> [command...]',
    'log in to a device through its tunnel, or run a command there',
    'ssh barn-7 uptime',
  )
    .option('--host <host>', hostHelp)
    .option('--config', 'print what ~/.ssh/config needs for all devices of the fleet <fleet-n>')
    .passThroughOptions()
    .addHelpText('after', sshHelp)
    .action(async (name: string, words: string[], options) =>
      (await import('../verbs/ssh.ts')).ssh(session, name, words, options),
    )

  verb(
    root,
    'ports <fleet> [user@host]',
    'give every connected device of a fleet a port here, until Ctrl-C',
    'ports barn fleetsie@fleet.example.org',
  ).action(async (fleet: string, host: string | undefined, options) =>
    (await import('../verbs/ports.ts')).ports(session, fleet, host, options),
  )

  verb(
    root,
    'revoke <fleet-or-device>',
    'take from a device, a lost disk or a whole fleet what it may do on the server, at once',
    'revoke barn-7',
  )
    .option('--lot <lot>', 'a disk of the fleet: its devices that have claimed stay')
    .option('--readmit', 'its hardware may claim another place: for a device whose card was written anew')
    .option('--host <host>', hostHelp)
    .option('-y, --yes', 'do not ask before a whole fleet is revoked')
    .action(async (name: string, options) =>
      (await import('../verbs/revoke.ts')).revoke(session, name, options),
    )

  verb(
    root,
    'rotate <fleet-or-device>',
    'give a device, or all connected ones of a fleet, new keys for their tunnels',
    'rotate barn',
  )
    .option('--host <host>', hostHelp)
    .option('-j, --jobs <n>', 'how many devices at once', positive, 8)
    .action(async (name: string, options) =>
      (await import('../verbs/rotate.ts')).rotate(session, name, options),
    )
}

/** Of itself commander gives `--zip` whatever word comes next, the name of the fleet as well. */
function zipApart(words: string[]): string[] {
  const end = words.includes('--') ? words.indexOf('--') : words.length
  return words.map((word, at) =>
    word === '--zip' && at < end && !words[at + 1]?.endsWith('.zip') ? '--zip=' : word,
  )
}

const hostHelp = "the fleet's server; default: the one that was last used"

const sshHelp = `
What follows <fleet-n> is for OpenSSH's ssh: options of its own, then a command.
  $ fleetsie ssh barn-7 -- -L 8080:localhost:80 -N
For scp, rsync, ansible, with \`Include barn.conf\` first in ~/.ssh/config:
  $ fleetsie ssh --config barn >~/.ssh/barn.conf
  $ scp notes.txt barn-7:`

const day = 86_400_000

function lifetime(text: string): number | 'never' {
  if (text === 'never') return text
  const ms = age(text)
  if (ms >= 60_000 && ms <= 36_500 * day) return ms
  throw new InvalidArgumentError('It takes 1m to 36500d, or never.')
}

const genHelp = `
You log in as fleetsie@<fleet_host>; without <num> and <usb_partition> only that
is tried. <num> devices are added to those that are there. <usb_partition> is a
name without /dev/; what begins with / is a folder that is there:
  $ fleetsie gen hull fleet.example.org 0 /media/me/STICK
A word after --zip is its file when it ends in .zip; any other: --zip=FILE.
  $ fleetsie gen hull fleet.example.org 20 --zip hull.zip`

const srvHelp = `
USER is root or may use sudo. The password of the user fleetsie is asked for
when that user has to be made.
To see what would be done to two servers, as JSON:
  $ fleetsie srv --plan --json root@one admin@two:2222`
