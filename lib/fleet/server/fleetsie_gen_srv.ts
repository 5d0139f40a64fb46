/**
 * fleetsie_gen_srv: what the manager's machine calls on the fleet server, as the user `fleetsie`. Reads one JSON object
 * from stdin, answers with one on stdout; exits with 0, or with the code of the error that it answers.
 */
import { homedir, hostname } from 'node:os'
import { runner } from '../../engine/process.ts'
import { type FleetsieError, toFleetsieError } from '../../errors.ts'
import type { Server } from '../registry/server.ts'
import { answerRequest } from './dispatch.ts'
import type { ErrorReply } from './protocol.ts'
import { readRequest } from './read-request.ts'
import { rootHelper } from './root-helper.ts'

// What is made without a mode of its own is nobody else's.
process.umask(0o077)
const folder = homedir()
const server: Server = {
  folder,
  name: hostname(),
  helper: rootHelper(runner({ home: folder })),
  now: () => Math.floor(Date.now() / 1000),
}

function told({ code, message, hint, file }: FleetsieError): ErrorReply {
  const where = file === undefined || message.includes(file) ? message : `${file}: ${message}`
  return { error: { code, message: where, ...(hint !== undefined && { hint }) } }
}

let reply: unknown
try {
  reply = await answerRequest(server, await readRequest(process.stdin))
} catch (error) {
  const failure = toFleetsieError(error)
  reply = told(failure)
  process.exitCode = failure.exitCode
}
process.stdout.write(`${JSON.stringify(reply)}\n`)
