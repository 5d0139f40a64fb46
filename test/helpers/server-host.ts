/** The rig's server as a Host without ssh, for tests of what runs there. */

import { placeAt } from '../../lib/hosts/place.ts'
import type { Place } from '../../lib/hosts/resources/resource.ts'
import { scriptCommand } from '../../lib/hosts/ssh/script.ts'
import type { Host, RemoteOptions, RemoteResult } from '../../lib/hosts/ssh/types.ts'
import type { FleetServer } from './fleet-server.ts'

class ServerHost implements Host {
  readonly name = 'root@server'
  readonly user = 'root'
  readonly host = 'server'
  readonly port = 22
  readonly hostKey = { type: 'ssh-ed25519', base64: '', fingerprint: '' }
  private readonly server: FleetServer

  constructor(server: FleetServer) {
    this.server = server
  }

  async run(argv: readonly string[], { stdin }: RemoteOptions = {}): Promise<RemoteResult> {
    const parts: Buffer[] = []
    if (typeof stdin === 'string') parts.push(Buffer.from(stdin))
    else if (stdin instanceof Uint8Array) parts.push(Buffer.from(stdin))
    else if (stdin) for await (const part of stdin) parts.push(Buffer.from(part as Buffer))
    const { code, stdout, stderr } = await this.server.run(argv, { input: Buffer.concat(parts) })
    return { code: code ?? 255, stdout: Buffer.from(stdout), stderr }
  }

  script(text: string, args: readonly string[], how: RemoteOptions = {}): Promise<RemoteResult> {
    const { argv, stdin } = scriptCommand(text, args, how.stdin)
    return this.run(argv, { ...how, stdin })
  }

  forward(): never {
    throw new Error('there is no connection')
  }

  async close(): Promise<void> {}
}

/** `letIn`: whether a new login works. */
export function placeOn(server: FleetServer, letIn: () => boolean | Promise<boolean> = () => true): Place {
  const host = new ServerHost(server)
  const again = async (): Promise<Host> => {
    if (await letIn()) return new ServerHost(server)
    throw new Error('not let in')
  }
  return placeAt(host, { again, signal: new AbortController().signal })
}
