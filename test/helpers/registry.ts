/** A fleet server's databases in a folder, its root helper without root, and claims as devices make them. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serveClaim } from '../../lib/fleet/claim/serve.ts'
import { hashOtp } from '../../lib/fleet/names.ts'
import { FleetDatabase } from '../../lib/fleet/registry/database.ts'
import { type FleetFiles, LocalFleetFiles } from '../../lib/fleet/registry/fleet-files.ts'
import { fleetFile, fleetFolder, mainFile, provisioningFile } from '../../lib/fleet/registry/paths.ts'
import type { DeviceRow } from '../../lib/fleet/registry/schema.ts'
import type { RootHelper, Server, Step } from '../../lib/fleet/registry/server.ts'
import type { GenReply, GenRequest } from '../../lib/fleet/server/protocol.ts'
import { gen } from '../../lib/fleet/server/requests/gen.ts'
import { newKey, ourForm } from './claims.ts'

export const loginKey = `cert-authority,principals="fleetsie" ${newKey()} birds login`

/** What `gen` asks for, without what every call says. */
export type Wish = Partial<Omit<GenRequest, 'do'>>

export function genRequest(wish: Wish = {}): GenRequest {
  return { do: 'gen', fleet: 'birds', num: 0, request: randomUUID(), loginKey, ...wish }
}

/** A disk as the manager's machine has it. */
export function disk(
  n: number,
  more: Partial<NonNullable<GenRequest['disk']>> = {},
): NonNullable<GenRequest['disk']> {
  return { lot: lotName(n), key: diskKey(n), expires: null, claimed: [], has: [], ...more }
}

export const lotName = (n: number): string => n.toString(16).padStart(16, '0')
const diskKeys = new Map<number, string>()
function diskKey(n: number): string {
  const key = diskKeys.get(n) ?? newKey()
  diskKeys.set(n, key)
  return key
}

export class RegistryServer implements Server {
  readonly folder: string
  readonly name = 'server.example'
  /** Which verbs of the root helper were called. */
  readonly called: string[] = []
  time = 1_800_000_000
  reached?: (step: Step) => void

  constructor(folder = mkdtempSync(join(tmpdir(), 'fleetsie-registry-'))) {
    this.folder = folder
    mkdirSync(join(folder, 'fleets'), { recursive: true })
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  now(): number {
    return this.time
  }

  readonly helper: RootHelper = {
    addFleet: async (fleet) => {
      this.called.push(`add-fleet ${fleet}`)
      mkdirSync(fleetFolder(this.folder, fleet), { recursive: true })
    },
    writeKeys: async (fleet, text) => {
      this.called.push(`write-keys ${fleet}`)
      writeFileSync(this.#keysFile(fleet), text)
    },
    ownFiles: async (fleet) => {
      this.called.push(`own-files ${fleet}`)
    },
    endSession: async (fleet, hostnames) => {
      this.called.push(`end-session ${fleet} ${hostnames?.join(' ') ?? '*'}`)
    },
  }

  files(fleet: string): FleetFiles {
    return new LocalFleetFiles(this.folder, fleet)
  }

  gen(wish: Wish = {}): Promise<GenReply> {
    return gen(this, genRequest(wish))
  }

  #keysFile(fleet: string): string {
    return join(this.folder, `authorized_keys.${fleet}`)
  }

  /** The lines of a fleet's authorized_keys that sshd reads. */
  keys(fleet = 'birds'): string[] {
    const text = existsSync(this.#keysFile(fleet)) ? readFileSync(this.#keysFile(fleet), 'utf8') : ''
    const lines = text.split('\n').slice(0, -1)
    return lines.filter((line) => !line.startsWith('#'))
  }

  /** The answer that device number `device` gets for `otp`, through the forced command of a disk. */
  claim(device: number, otp: string, how: { fleet?: string; lot?: string; key?: string } = {}): string {
    const { fleet = 'birds', lot, key = newKey() } = how
    let answer = ''
    const keep = (text: string): void => {
      answer = text
    }
    serveClaim(
      ourForm(device, otp, key),
      keep,
      { fleet, lot, ip: '192.0.2.9', now: this.time },
      {
        fleet: fleetFile(this.folder, fleet),
        provisioning: provisioningFile(this.folder, fleet),
        authorizedKeys: this.#keysFile(fleet),
      },
    )
    return answer
  }

  main(): FleetDatabase {
    return new FleetDatabase(mainFile(this.folder))
  }

  fleet(fleet = 'birds'): FleetDatabase {
    return new FleetDatabase(fleetFile(this.folder, fleet))
  }

  rows(which: 'main' | 'fleet', fleet = 'birds'): DeviceRow[] {
    const db = which === 'main' ? this.main() : this.fleet(fleet)
    try {
      return db.all<DeviceRow>('SELECT * FROM devices WHERE fleet = ? ORDER BY id_in_fleet', fleet)
    } finally {
      db.close()
    }
  }

  /** id_in_fleet → OTP, as provisioning.sqlite has it. */
  otps(fleet = 'birds'): Map<number, string> {
    const db = new FleetDatabase(provisioningFile(this.folder, fleet))
    try {
      const rows = db.all<{ id_in_fleet: number; otp: string }>('SELECT * FROM devices ORDER BY id_in_fleet')
      return new Map(rows.map((row) => [row.id_in_fleet, row.otp]))
    } finally {
      db.close()
    }
  }

  /** What is not in step among the three databases and authorized_keys, by the sqlite3 program where it can tell. */
  faults(fleet = 'birds'): string[] {
    const faults: string[] = []
    for (const file of [
      mainFile(this.folder),
      fleetFile(this.folder, fleet),
      provisioningFile(this.folder, fleet),
    ]) {
      const said = sqlite3(file, 'PRAGMA integrity_check')
      if (said !== 'ok') faults.push(`${file}: ${said}`)
    }
    const main = this.rows('main', fleet)
    const fleetRows = this.rows('fleet', fleet).map((row) => ({ ...row, server_private_key: '' }))
    if (JSON.stringify(main) !== JSON.stringify(fleetRows)) faults.push('Main and Fleet differ')
    const otps = this.otps(fleet)
    const unclaimed = main.filter((row) => row.hwid === null)
    if (unclaimed.map((row) => row.id_in_fleet).join() !== [...otps.keys()].join()) {
      faults.push('Provisioning holds other devices than the unclaimed ones')
    }
    for (const row of unclaimed) {
      if (hashOtp(otps.get(row.id_in_fleet) ?? '') !== row.otp) faults.push(`${row.hostname} has another OTP`)
    }
    const claimed = main.filter((row) => row.hwid !== null && !row.hwid.startsWith('revoked:'))
    const lines = new Set(this.keys(fleet))
    for (const { hostname, server_public_key: line } of claimed) {
      const key = line.split(' ', 2).join(' ')
      if (![...lines].some((line) => line.includes(`${key} ${hostname}`)))
        faults.push(`${hostname} has no line`)
    }
    const devices = [...lines].filter((line) => line.includes('fleetsie_login'))
    if (devices.length !== claimed.length)
      faults.push(`${devices.length} lines for ${claimed.length} devices`)
    return faults
  }
}

/** What the sqlite3 program prints. */
export function sqlite3(file: string, sql: string): string {
  return execFileSync('sqlite3', ['-batch', file, sql], { encoding: 'utf8' }).trim()
}

/** `gen` in a process of its own, which kills itself when it has reached `step`, or is the test's to kill. */
export function genProcess(folder: string, request: GenRequest, step?: Step): ChildProcess {
  const code = `
    import { RegistryServer } from ${JSON.stringify(import.meta.url)}
    import { gen } from ${JSON.stringify(new URL('../../lib/fleet/server/requests/gen.ts', import.meta.url).href)}
    const server = new RegistryServer(${JSON.stringify(folder)})
    server.reached = (step) => {
      if (step === ${JSON.stringify(step ?? null)}) process.kill(process.pid, 'SIGKILL')
      if (process.connected) process.send(step)
    }
    console.log(JSON.stringify(await gen(server, ${JSON.stringify(request)})))
    process.disconnect?.()
  `
  const args = ['--import', 'tsx', '--input-type=module', '-e', code]
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
}

/** Waits for its end: the signal or the exit code, and what it printed. */
export async function ended(
  child: ChildProcess,
): Promise<{ end: string | number | null; stdout: string; stderr: string }> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const end = await new Promise<string | number | null>((resolve) => {
    child.once('close', (code, signal) => resolve(signal ?? code))
  })
  return { end, stdout, stderr }
}
