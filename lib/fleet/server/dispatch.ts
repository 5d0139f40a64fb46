/** Which request is answered by what. */
import type { Server } from '../registry/server.ts'
import type { AnyRequest } from './protocol.ts'
import { gen } from './requests/gen.ts'
import { list } from './requests/list.ts'
import { revoke } from './requests/revoke.ts'
import { rotate } from './requests/rotate.ts'
import { setup } from './requests/setup.ts'

/** Answers a checked request; fails as the request's own function says. */
export async function answerRequest(server: Server, request: AnyRequest): Promise<unknown> {
  switch (request.do) {
    case 'gen':
      return gen(server, request)
    case 'list':
      return list(server, request)
    case 'revoke':
      return revoke(server, request)
    case 'rotate':
      return rotate(server, request)
    case 'setup':
      return setup(server)
  }
}
