/** The process that opens a fleet's databases, as the fleet's user, for fleetsie_gen_srv: one request a line, one answer. */
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { toFleetsieError } from '../../errors.ts'
import type { FleetFiles } from '../registry/fleet-files.ts'
import { beginValue, type FilesRequest, readValue } from './files-protocol.ts'

/** Until `input` ends. What was begun and not finished is then taken back. */
export async function serveFiles(input: Readable, output: Writable, files: FleetFiles): Promise<void> {
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      const answer = await answerTo(JSON.parse(line) as FilesRequest, files)
      await new Promise((resolve) => output.write(`${JSON.stringify(answer)}\n`, resolve))
    }
  } finally {
    await files.close()
  }
}

async function answerTo(request: FilesRequest, files: FleetFiles): Promise<unknown> {
  try {
    return { value: (await handle(request, files)) ?? null }
  } catch (error) {
    const { code, message, hint, file } = toFleetsieError(error)
    return { error: { code, message, hint, file } }
  }
}

async function handle(request: FilesRequest, files: FleetFiles): Promise<unknown> {
  switch (request.do) {
    case 'read':
      return readValue(await files.read())
    case 'begin':
      return beginValue(await files.begin())
    case 'provision':
      return files.provision(new Map(request.otps), request.anew)
    case 'finish':
      return files.finish(request.wanted, request.now)
  }
}
