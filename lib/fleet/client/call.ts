/** One call of the server's program: a JSON object to its stdin, one back, checked before anybody relies on it. */
import * as v from 'valibot'
import { type ErrorCode, errorCodes, FleetsieError } from '../../errors.ts'
import { parseJson } from '../../formats/json.ts'
import type { Host } from '../../hosts/ssh/types.ts'
import { printable } from '../../images/printable.ts'

/** Where `srv` puts it; a link into the closure in use. */
export const serverProgram = '/home/fleetsie/fleetsie_gen_srv'

/** 9,999 devices with their OTPs take 4 MB. */
const replyLimit = 32 * 1024 * 1024

const failure = v.object({
  error: v.object({
    code: v.pipe(v.string(), v.maxLength(40)),
    message: v.pipe(v.string(), v.maxLength(4000)),
    hint: v.optional(v.nullable(v.pipe(v.string(), v.maxLength(4000)))),
  }),
})

/** The server broke off: nobody knows whether it did what it was asked. The same request may be sent again. */
export class BrokenOff extends FleetsieError {}

/**
 * Sends `request` to fleetsie_gen_srv and answers with its reply, checked by the schema `reply`. A failure that the
 * program tells is thrown as it is, with its code and hint. Fails with E_UNSUPPORTED where the program is not there, and
 * with BrokenOff (E_STAGE) where it ended without an answer.
 */
export async function callServer<T>(
  host: Host,
  request: { do: string },
  reply: v.GenericSchema<unknown, T>,
  how: { signal?: AbortSignal; timeout?: number } = {},
): Promise<T> {
  const stdin = JSON.stringify(request)
  const { code, stdout, stderr } = await host.run([serverProgram], { ...how, stdin, limit: replyLimit })
  if (code === 126 || code === 127) {
    throw new FleetsieError('E_UNSUPPORTED', `${host.name} has no ${serverProgram}`, {
      hint: `set the server up first: fleetsie srv USER@${host.host}`,
    })
  }
  const answer = lastObject(stdout)
  if (code !== 0) {
    const told = v.safeParse(failure, answer)
    if (told.success) throw asTold(told.output.error)
    const said = lastLine(stderr)
    throw new BrokenOff('E_STAGE', `${request.do} on ${host.name} ended with exit code ${code}${said}`)
  }
  if (answer === undefined) throw new BrokenOff('E_STAGE', `${request.do} on ${host.name} gave no answer`)
  const checked = v.safeParse(reply, answer)
  if (checked.success) return checked.output
  const [issue] = checked.issues
  throw new FleetsieError(
    'E_STAGE',
    `${host.name} answered ${request.do} in a form that this program does not know: ` +
      `${v.getDotPath(issue) ?? 'the whole of it'}: expected ${issue.expected ?? 'something else'}`,
    { hint: `bring the server to this version: fleetsie srv USER@${host.host}` },
  )
}

/** The answer is the last line: what a shell's start-up files print comes before it. */
function lastObject(stdout: Buffer): unknown {
  return parseJson(stdout.toString('utf8').trimEnd().split('\n').at(-1) ?? '')
}

function lastLine(stderr: string): string {
  const line = stderr.trimEnd().split('\n').at(-1) ?? ''
  return line === '' ? '' : `: ${shown(line.slice(0, 300))}`
}

function asTold({ code, message, hint }: v.InferOutput<typeof failure>['error']): FleetsieError {
  const known = Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'E_STAGE'
  return new FleetsieError(known, shown(message), hint ? { hint: shown(hint) } : {})
}

/** What a program of the fleet's user has said on the server may be among it. */
function shown(text: string): string {
  const lines = text.split('\n')
  return lines.map((line) => printable(Buffer.from(line).toString('latin1'))).join('\n')
}
