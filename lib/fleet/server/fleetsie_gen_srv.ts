/**
 * fleetsie_gen_srv: what the manager's machine calls on the fleet server, as the user `fleetsie`. Reads one JSON object
 * from stdin, answers with one on stdout; exits with 0, or with the code of the error that it answers.
 *
 * fleetsie_gen_srv files FOLDER FLEET: what it starts through the root helper, as the fleet's user, to open the fleet's databases.
 */
import { homedir, hostname } from 'node:os'
import { runner } from '../../engine/process.ts'
import { type FleetsieError, toFleetsieError } from '../../errors.ts'
import { checkFleet } from '../names.ts'
import { LocalFleetFiles } from '../registry/fleet-files.ts'
import { fleetFile } from '../registry/paths.ts'
import type { Server } from '../registry/server.ts'
import { answerRequest } from './dispatch.ts'
import type { ErrorReply } from './protocol.ts'
import { readRequest } from './read-request.ts'
import { RemoteFleetFiles } from './remote-files.ts'
import { rootHelper, rootHelperPath } from './root-helper.ts'
import { serveFiles } from './serve-files.ts'

// What is made without a mode of its own is nobody else's.
process.umask(0o077)
const folder = homedir()
const run = runner({ home: folder })
const server: Server = {
  folder,
  name: hostname(),
  helper: rootHelper(run),
  files: (fleet) =>
    new RemoteFleetFiles(
      run,
      ['sudo', '-n', '--', rootHelperPath, 'open-files', fleet],
      fleet,
      fleetFile(folder, fleet),
    ),
  now: () => Math.floor(Date.now() / 1000),
}

function told({ code, message, hint, file }: FleetsieError): ErrorReply {
  const where = file === undefined || message.includes(file) ? message : `${file}: ${message}`
  return { error: { code, message: where, ...(hint !== undefined && { hint }) } }
}

async function answerOne(): Promise<void> {
  let reply: unknown
  try {
    reply = await answerRequest(server, await readRequest(process.stdin))
  } catch (error) {
    const failure = toFleetsieError(error)
    reply = told(failure)
    process.exitCode = failure.exitCode
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}

async function main(): Promise<void> {
  const [what, home = '', fleet = ''] = process.argv.slice(2)
  if (what !== 'files') return answerOne()
  return serveFiles(process.stdin, process.stdout, new LocalFleetFiles(home, checkFleet(fleet)))
}

void main()
