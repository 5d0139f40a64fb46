/**
 * A fleet as its manager has it: a real server that `srv` has set up, a disk that `gen` has written, and devices that
 * claimed with it and hold their tunnels. A device is a machine of its own, with a real sshd, whose user 1000 is `admin`.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { FleetServer } from './fleet-server.ts'
import { needs, needsRoot } from './needs.ts'
import { type Ended, events } from './npm-project.ts'
import { copyCode } from './scratch.ts'
import { SrvProgram } from './srv.ts'

/** Why a managed fleet cannot be here; false where it can. */
export const noFleet = needsRoot || needs('mmdebstrap', 'unshare', 'nsenter', 'ip', 'script', 'ssh')

export interface Ran extends Ended {
  events: BuildEvent[]
  ms: number
}

/** A verb that goes on until it is told to end. */
export interface Running {
  /** Resolves with the first line of stdout or stderr that matches and was not answered before. */
  line(pattern: RegExp): Promise<string>
  /** Ctrl-C; answers the exit code. */
  interrupt(): Promise<number | null>
}

/** Milliseconds, on a machine with other work to do: a device may be an emulated one. */
const patience = 300_000

export class ManagedFleet {
  readonly server: FleetServer
  /** Where `gen` writes the disk: `disk/fleetsie/…`. */
  readonly disk: string
  private readonly folder: string
  private readonly devices: FleetServer[] = []

  static async start(): Promise<ManagedFleet> {
    const program = await SrvProgram.make()
    const fleet = new ManagedFleet(await FleetServer.start(), mkdtempSync(join(tmpdir(), 'fleetsie-fleet-')))
    try {
      await copyCode(join(fleet.folder, 'code'))
      const { code, stdout, screen } = await program.ask(fleet.server, ['root@192.0.2.1'])
      assert.equal(code, 0, stdout + screen)
      return fleet
    } catch (error) {
      await fleet.stop()
      throw error
    } finally {
      await program.remove()
    }
  }

  /** A fleet `barn` of four, of which barn-1 and barn-2 have claimed and are connected. */
  static async barn(): Promise<{ fleet: ManagedFleet; first: FleetServer; second: FleetServer }> {
    const fleet = await ManagedFleet.start()
    try {
      await fleet.does('gen', 'barn', '192.0.2.1', '4', fleet.disk)
      const first = await fleet.device(1)
      const second = await fleet.device(2)
      await fleet.online('barn', 2)
      return { fleet, first, second }
    } catch (error) {
      await fleet.stop()
      throw error
    }
  }

  private constructor(server: FleetServer, folder: string) {
    this.server = server
    this.folder = folder
    this.disk = join(folder, 'disk')
    mkdirSync(this.disk)
  }

  async stop(): Promise<void> {
    for (const device of this.devices) await device.stop()
    await this.server.stop()
    await removeTree(this.folder)
  }

  /** Runs a verb as the manager, without a terminal. */
  async fleetsie(...args: string[]): Promise<Ran> {
    const started = performance.now()
    const child = this.spawn(args)
    const ran: Ran = { code: null, stdout: '', stderr: '', events: [], ms: 0 }
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (ran.stdout += text))
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (ran.stderr += text))
    ran.code = await new Promise((resolve) => child.once('close', resolve))
    const told = args.includes('--json') ? events(ran.stdout) : []
    return { ...ran, events: told, ms: performance.now() - started }
  }

  /** The same, and the test fails when the verb does. */
  async does(...args: string[]): Promise<Ran> {
    const ran = await this.fleetsie(...args)
    assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stdout}${ran.stderr}`)
    return ran
  }

  /** Starts a verb that goes on, on the manager's machine where that is in the network of `at`. */
  starts(args: readonly string[], at = this.server): Running {
    const child = this.spawn(args, at)
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
    let text = ''
    const waiting = new Set<() => void>()
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (more: string) => {
        text += more
        for (const look of waiting) look()
      })
    }
    return {
      line: (pattern) =>
        new Promise((resolve, reject) => {
          const look = (): void => {
            const found = text.split('\n').find((line) => pattern.test(line))
            if (found === undefined) return
            text = text.slice(text.indexOf(found) + found.length)
            waiting.delete(look)
            clearTimeout(timer)
            resolve(found)
          }
          const timer = setTimeout(
            () => reject(new Error(`no line ${pattern} for minutes: ${text}`)),
            patience,
          )
          waiting.add(look)
          closed.then(() => reject(new Error(`no line ${pattern}: ${text}`)))
          look()
        }),
      interrupt: () => {
        // `unshare` and the shells before it have become the verb itself.
        child.kill('SIGINT')
        return closed
      },
    }
  }

  private spawn(args: readonly string[], at = this.server): ReturnType<typeof spawn> {
    const code = join(this.folder, 'code')
    const loader = pathToFileURL(join(code, 'node_modules/tsx/dist/loader.mjs')).href
    const verb = [process.execPath, '--import', loader, join(code, 'lib/cli/bin.ts'), ...args]
    const [command, rest] = at.enter(verb)
    return spawn(command, rest, { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] })
  }

  /** id_in_fleet and OTP of each device that the disk holds. */
  onDisk(): { id: number; otp: string }[] {
    const lines = readFileSync(join(this.disk, 'fleetsie/devices.txt'), 'utf8').trim().split(/\r?\n/)
    return lines.map((line) => {
      const [id, otp] = line.split(' ')
      return { id: Number(id), otp: otp! }
    })
  }

  /** A machine that claims the place `id` with the disk and holds its tunnel from then on. */
  async device(id: number): Promise<FleetServer> {
    const n = this.devices.length + 2
    const device = await FleetServer.start({ beside: this.server, address: `192.0.2.${n}` })
    this.devices.push(device)
    cpSync(join(this.disk, 'fleetsie'), device.file('/home/admin/fleetsie'), { recursive: true })
    cpSync('units/ssh_tunnel.sh', device.file('/usr/local/bin/ssh_tunnel.sh'))
    const { otp } = this.onDisk().find((one) => one.id === id)!
    const hwid = `02:00:00:00:00:${id.toString(16).padStart(2, '0')}`
    const said = await device.run(['sh', '-s', 'sh', hwid, otp], { input: provision })
    assert.equal(said.code, 0, said.stdout + said.stderr)
    return device
  }

  /** Waits until `count` devices of `name` are connected. */
  async online(name: string, count: number): Promise<void> {
    for (const end = Date.now() + patience; ; ) {
      const { stdout } = await this.server.run(['find', `/run/fleetsie/dev/${name}`, '-type', 'l'])
      const found = stdout.split('\n').filter((line) => line !== '').length
      if (found === count) return
      assert.ok(
        Date.now() < end,
        `${found} devices are connected, not ${count}: ${this.server.sshdLog().slice(-2000)}`,
      )
    }
  }
}

/** What fleetsie_provision and systemd do, without the waiting. $1: $0 of the script, $2 hardware id, $3 OTP. */
export const provision = `set -eu
hwid=$2 otp=$3
[ "$(id -u admin)" = 1000 ]
cd /
chown -R admin /home/admin
chmod 755 /usr/local/bin/ssh_tunnel.sh
mkdir -p /run/ssh-tunnel /opt/quick
chown admin /run/ssh-tunnel
printf '#!/bin/sh\\n' >/opt/quick/sleep
chmod 755 /opt/quick/sleep
cat >/home/admin/provision <<'END'
set -eu
cd "$HOME/.ssh"
umask 077
chmod 600 ../fleetsie/fleetsieauth
host=$(sed -n 1p ../fleetsie/fleet.txt | tr -d '\\r') fleet=$(sed -n 2p ../fleetsie/fleet.txt | tr -d '\\r')
sed -n 3p ../fleetsie/fleet.txt | tr -d '\\r' >known_hosts
ssh-keygen -q -t ed25519 -N '' -C device -f fleetsie
printf 'fleetsie 2\\nhwid: %s\\notp: %s\\nkey: %s\\n\\n' "$1" "$2" "$(cut -d ' ' -f 1,2 fleetsie.pub)" |
	ssh -T -i ../fleetsie/fleetsieauth -o IdentitiesOnly=yes "fleetsie_$fleet@$host" >answer
[ "$(sed -n 1p answer)" = Ok ]
ln -s "$(sed -n 6p answer)" fleetsie_tunnel_port
sed -n 9p answer >>authorized_keys
cat >config <<CONFIG
Host fleetsie
   Hostname $host
   User $(sed -n 5p answer)
   StrictHostKeyChecking yes
   IdentityFile ~/.ssh/fleetsie
   IdentitiesOnly yes
CONFIG
sed -n 4p answer >../hostname
END
runuser -u admin -- env HOME=/home/admin sh /home/admin/provision "$hwid" "$otp"
hostname "$(cat /home/admin/hostname)"
setsid runuser -u admin -- env HOME=/home/admin RUNTIME_DIRECTORY=/run/ssh-tunnel PATH="/opt/quick:$PATH" \\
	sh -c 'while :; do sh /usr/local/bin/ssh_tunnel.sh; /bin/sleep 0.2; done' </dev/null >/tmp/tunnel.log 2>&1 &
`
