/** A fleet server's databases with devices that hold their tunnels, as its manager lists them. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import type { PresencePlaces } from '../../lib/fleet/server/presence.ts'
import { type ListReply, listReply } from '../../lib/fleet/server/protocol.ts'
import { list } from '../../lib/fleet/server/requests/list.ts'
import { RegistryServer } from './registry.ts'

export class ManagedServer extends RegistryServer {
  readonly places: PresencePlaces
  readonly #run = mkdtempSync(join(tmpdir(), 'fleetsie-presence-'))

  constructor() {
    super()
    this.places = { run: join(this.#run, 'dev'), proc: join(this.#run, 'proc') }
    for (const folder of [join(this.places.run, 'birds'), this.places.proc]) {
      mkdirSync(folder, { recursive: true })
    }
  }

  override remove(): void {
    super.remove()
    rmSync(this.#run, { recursive: true, force: true })
  }

  /** Allocates `num` devices, of which the first `claimed` claim; answers the OTPs of all. */
  async allocate(num: number, claimed: number): Promise<Map<number, string>> {
    await this.gen({ num })
    const otps = this.otps()
    for (let n = 1; n <= claimed; n++) assert.match(this.claim(n, otps.get(n)!), /^Ok\n/)
    return otps
  }

  /** What fleetsie_login leaves while it runs. */
  connect(name: string, port: number, pid: number, lines = ''): void {
    const folder = join(this.places.run, 'birds')
    symlinkSync(String(port), join(folder, name))
    writeFileSync(join(folder, `.${name}`), lines || `pid ${pid}\nuser pi\nip 192.0.2.9\nsince 1800000100\n`)
    mkdirSync(join(this.places.proc, String(pid)), { recursive: true })
    const command = ['/bin/sh', '/home/fleetsie/fleetsie_login', 'birds', name, String(port), '']
    writeFileSync(join(this.places.proc, String(pid), 'cmdline'), command.join('\0'))
  }

  async listed(): Promise<ListReply> {
    return v.parse(listReply, await list(this, { do: 'list', fleet: 'birds' }, this.places))
  }

  async states(): Promise<string[]> {
    return (await this.listed()).devices.map(({ state }) => state)
  }
}
