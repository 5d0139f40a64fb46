// A reporter for node:test: one JSON line for each test that ended. scripts/test.mjs counts them, because
// the text of node's own reporters differs from version to version.
import { relative, resolve } from 'node:path'
import { inspect } from 'node:util'

/** @param {AsyncIterable<{ type: string, data: any }>} events */
export default async function* results(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    // Neither a suite nor a file is a test of its own, unless it failed: one without any test passes.
    const isFile = data.file !== undefined && resolve(data.name) === data.file
    const group = type === 'test:pass' && (data.details?.type === 'suite' || isFile)
    const skip = data.skip ?? data.todo
    const skipped = skip !== undefined && skip !== false
    yield `${JSON.stringify({
      file: data.file ? relative(process.cwd(), data.file) : '',
      name: data.name,
      outcome: group ? 'group' : skipped ? 'skip' : type === 'test:pass' ? 'pass' : 'fail',
      reason: type === 'test:fail' ? whyOf(data.details?.error) : typeof skip === 'string' ? skip : '',
      // What is in a suite is in the suite's time.
      ms: data.nesting === 0 && !isFile ? (data.details?.duration_ms ?? 0) : 0,
    })}\n`
  }
}

/** What a test failed by, without what its reader has before him: that of a suite is what its tests failed by. */
function whyOf(error) {
  if (error?.failureType === 'subtestsFailed') return ''
  const cause = error?.cause ?? error
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause)
  const lines = text.split('\n').filter((line) => !/^ +at .*(node:|node_modules)/.test(line))
  return lines
    .slice(0, 20)
    .map((line) => line.slice(0, 300))
    .join('\n')
}
