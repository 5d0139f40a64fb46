/** A fleet server without ssh and without root: the registry's own functions on a temporary folder, answering a fake Host. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toFleetsieError } from '../../lib/errors.ts'
import { type FleetFiles, LocalFleetFiles } from '../../lib/fleet/registry/fleet-files.ts'
import { fleetFolder } from '../../lib/fleet/registry/paths.ts'
import type { RootHelper, Server, Step } from '../../lib/fleet/registry/server.ts'
import { answerRequest } from '../../lib/fleet/server/dispatch.ts'
import type { AnyRequest, GenRequest } from '../../lib/fleet/server/protocol.ts'
import type { Host, RemoteResult } from '../../lib/hosts/ssh/types.ts'

export class FakeServer {
  readonly folder: string
  /** What it was asked, as it came. */
  readonly asked: GenRequest[] = []
  connections = 0
  /** For the next request: dies at this step, or after all of it with the reply unsent. */
  breakAt: Step | 'reply' | undefined
  /** Seconds by which its clock is ahead. */
  ahead = 0

  constructor(folder: string) {
    this.folder = folder
    mkdirSync(join(folder, 'fleets'), { recursive: true })
  }

  /** Lines of the fleet's authorized_keys. */
  keys(fleet: string): string[] {
    return readFileSync(this.#keysFile(fleet), 'utf8').trimEnd().split('\n')
  }

  #keysFile(fleet: string): string {
    return join(this.folder, `${fleet}.keys`)
  }

  get #server(): Server {
    const helper: RootHelper = {
      addFleet: async (fleet) => {
        mkdirSync(fleetFolder(this.folder, fleet), { recursive: true })
      },
      writeKeys: async (fleet, text) => writeFileSync(this.#keysFile(fleet), text),
      ownFiles: async () => {},
      endSession: async () => {},
    }
    const reached = (step: Step): void => {
      if (step === this.breakAt) throw new Killed()
    }
    const files = (fleet: string): FleetFiles => new LocalFleetFiles(this.folder, fleet)
    const now = (): number => Math.floor(Date.now() / 1000) + this.ahead
    return { folder: this.folder, name: 'server', helper, files, now, reached }
  }

  connect = async (): Promise<Host> => {
    this.connections++
    return {
      ...{ name: 'fleetsie@fleet.example', user: 'fleetsie', host: 'fleet.example', port: 22 },
      hostKey: { type: 'ssh-ed25519', base64: 'AAAAhost', fingerprint: 'SHA256:x' },
      run: async (_argv, how) => this.#answer(JSON.parse(String(how?.stdin))),
      script: () => Promise.reject(new Error('not asked for')),
      forward: () => Promise.reject(new Error('not asked for')),
      close: async () => {},
    }
  }

  async #answer(request: AnyRequest): Promise<RemoteResult> {
    this.asked.push(request as GenRequest)
    const ended = (code: number, reply?: unknown): RemoteResult => {
      const stdout = reply === undefined ? '' : `${JSON.stringify(reply)}\n`
      return { code, stdout: Buffer.from(stdout), stderr: '' }
    }
    try {
      const reply = await answerRequest(this.#server, request)
      return this.breakAt === 'reply' ? ended(255) : ended(0, reply)
    } catch (error) {
      if (error instanceof Killed) return ended(137)
      const { exitCode, code, message, hint } = toFleetsieError(error)
      return ended(exitCode, { error: { code, message, ...(hint === undefined ? {} : { hint }) } })
    } finally {
      this.breakAt = undefined
    }
  }
}

class Killed extends Error {}
