/** One request from whoever calls: bounded, and what it says checked, before anything is touched. */
import type { Readable } from 'node:stream'
import * as v from 'valibot'
import { FleetsieError } from '../../errors.ts'
import { type AnyRequest, anyRequest, maxRequest } from './protocol.ts'

/** Reads one JSON object up to the end of `input`. Fails with E_INPUT, never repeating what it was sent. */
export async function readRequest(input: Readable): Promise<AnyRequest> {
  const kept: Buffer[] = []
  let size = 0
  for await (const chunk of input as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxRequest) throw new FleetsieError('E_INPUT', `a request is at most ${maxRequest} bytes long`)
    kept.push(chunk)
  }
  const checked = v.safeParse(anyRequest, parsed(Buffer.concat(kept)))
  if (checked.success) return checked.output
  const [issue] = checked.issues
  const path = v.getDotPath(issue)
  // The texts of the schemas are ours; valibot's own would repeat the value.
  const expected = issue.message.startsWith('Invalid ') ? `has to be ${issue.expected}` : issue.message
  throw new FleetsieError('E_INPUT', `the request is not right: ${path ?? 'it'} ${expected}`)
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new FleetsieError('E_INPUT', 'the request is no JSON')
  }
}
