import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import { input, stage } from '../../../lib/engine/stage.ts'
import type { FleetsieError } from '../../../lib/errors.ts'

const options = v.strictObject({ n: v.number(), from: input() })

/** The error of a stage in this module that is called with these options. */
function refusal(given: unknown, module = import.meta.url): FleetsieError {
  const common = { summary: '', description: '', example: '' }
  const made = stage({ ...common, kind: 'build', name: 'own', module, options, run: async () => {} })
  try {
    made(given as never)
  } catch (error) {
    return error as FleetsieError
  }
  throw new Error('it took them')
}

const rows: [title: string, given: unknown, message: RegExp][] = [
  ['options that are missing', {}, /^own: option `n` is missing; option `from` is missing$/],
  ['one that is undefined', { n: undefined, from: 1 }, /^own: option `n` is missing; option `from` got 1: /],
  ['a wrong one', { n: 'x' }, /^own: option `n` got "x": .*; option `from` is missing$/],
  ['one too many', { m: 1 }, /there is no option `m`/],
  ['no options at all', undefined, /^own: option `\(all\)` got undefined: /],
]
for (const [title, given, message] of rows) {
  test(`${title}: the error says which`, () => {
    const error = refusal(given)
    assert.equal(error.code, 'E_OPTION')
    assert.match(error.message, message)
  })
}

test('only stages of this package are said to have a page', () => {
  assert.equal(refusal({}).hint, undefined)
  const module = new URL('../../../stages/own.ts', import.meta.url).href
  assert.equal(refusal({}, module).hint, 'docs/stages/own.md lists its options')
})
