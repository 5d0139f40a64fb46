/** Which request is answered by what. */
import type { Server } from '../registry/server.ts'
import type { AnyRequest } from './protocol.ts'
import { gen } from './requests/gen.ts'
import { list } from './requests/list.ts'
import { revoke } from './requests/revoke.ts'
import { rotate } from './requests/rotate.ts'
import { setup } from './requests/setup.ts'
import { endRevoked } from './requests/unfinished.ts'

/** Answers a checked request; fails as the request's own function says. */
export async function answerRequest(server: Server, request: AnyRequest): Promise<unknown> {
  switch (request.do) {
    case 'gen':
      return endingRevoked(server, request.fleet, gen(server, request))
    case 'list':
      return list(server, request)
    case 'revoke':
      return revoke(server, request)
    case 'rotate':
      return endingRevoked(server, request.fleet, rotate(server, request))
    case 'setup':
      return setup(server)
  }
}

async function endingRevoked<T>(server: Server, fleet: string, work: Promise<T>): Promise<T> {
  const reply = await work
  await endRevoked(server, fleet)
  return reply
}
