// A reporter for node:test: one JSON line for each test that ended. scripts/test.mjs counts them, because
// the text of node's own reporters differs from version to version.
import { relative } from 'node:path'

/** @param {AsyncIterable<{ type: string, data: any }>} events */
export default async function* results(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    // A suite, or (in Node 20) a whole file, is no test of its own unless it failed.
    if (data.details?.type === 'suite' && type === 'test:pass') continue
    const skip = data.skip ?? data.todo
    yield `${JSON.stringify({
      file: data.file ? relative(process.cwd(), data.file) : '',
      name: data.name,
      outcome: skip !== undefined && skip !== false ? 'skip' : type === 'test:pass' ? 'pass' : 'fail',
      reason: typeof skip === 'string' ? skip : '',
    })}\n`
  }
}
