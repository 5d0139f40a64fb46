/** What the tests of gen work at: a server without ssh, a manager's home, and a folder as the disk. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { runner } from '../../../../lib/engine/process.ts'
import { type GenOutcome, generate } from '../../../../lib/fleet/client/gen.ts'
import { ownBundle } from '../../../../lib/fleet/disk/bundle.ts'
import { findDisk } from '../../../../lib/fleet/disk/find.ts'
import type { DiskPlace } from '../../../../lib/fleet/disk/place.ts'
import { missing } from '../../../helpers/disks.ts'
import { FakeServer } from '../../../helpers/fake-server.ts'

export const skip = missing('sqlite3', 'ssh-keygen', 'mkfs.fat', 'fsck.fat', 'mcopy', 'unzip', 'sfdisk')
let count = 0

/** A server, a manager's home, and a folder as the disk. */
export class Desk {
  readonly folder: string
  readonly server: FakeServer
  readonly env: { HOME: string }
  readonly disk: string
  readonly warned: string[] = []
  readonly noted: string[] = []

  /** Below `top`, which the test removes. */
  constructor(top: string) {
    this.folder = join(top, String(count++))
    this.server = new FakeServer(join(this.folder, 'server'))
    this.env = { HOME: this.folder }
    this.disk = join(this.folder, 'disk')
    mkdirSync(this.disk)
  }

  at(name: string): string {
    return join(this.disk, 'fleetsie', name)
  }

  read(name: string): string {
    return readFileSync(this.at(name), 'utf8')
  }

  private get run() {
    return runner({ home: this.folder })
  }

  find(name: string): Promise<DiskPlace> {
    return findDisk(name, { cwd: this.folder, allowed: {}, run: this.run, env: this.env })
  }

  async gen(num: number, disk?: string | DiskPlace, fleet = 'hull'): Promise<GenOutcome> {
    const place = typeof disk === 'string' ? await this.find(disk) : disk
    try {
      return await generate(
        {
          ...{ fleet, server: 'fleet.example', num, disk: place, bundle: await ownBundle() },
          ...{ expires: Math.floor(Date.now() / 1000) + 1000, serverKeys: undefined },
        },
        {
          ...{
            connect: this.server.connect,
            run: this.run,
            env: this.env,
            signal: new AbortController().signal,
          },
          note: (line) => this.noted.push(line),
          warn: (line) => this.warned.push(line),
          step: () => ({ done: () => {} }),
        },
      )
    } finally {
      await place?.close()
    }
  }

  get pending(): string[] {
    const folder = join(this.folder, '.local/state/fleetsie/requests')
    return existsSync(folder) ? readdirSync(folder) : []
  }

  /** As if the processes of the calls that did not end were gone. */
  abandon(): void {
    const folder = join(this.folder, '.local/state/fleetsie/requests')
    for (const name of this.pending) {
      renameSync(join(folder, name), join(folder, name.replace(/\.\d+-\d+$/, '.1-1')))
    }
  }

  rows(file = this.at('devices.sqlite')): string[] {
    return sqlite(file, 'SELECT id_in_fleet || " " || otp FROM devices ORDER BY id_in_fleet')
  }

  allocated(): string[] {
    return sqlite(join(this.server.folder, 'fleets.sqlite'), 'SELECT hostname FROM devices ORDER BY id')
  }
}

export const sqlite = (file: string, sql: string): string[] =>
  execFileSync('sqlite3', [file, sql], { encoding: 'utf8' }).split('\n').slice(0, -1)
export const hostnames = ({ reply }: GenOutcome): string[] => reply.generated.map(({ hostname }) => hostname)
