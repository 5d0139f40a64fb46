import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import { collectFacts } from '../../../lib/engine/key.ts'
import { stage } from '../../../lib/engine/stage.ts'

const any = stage({
  kind: 'build',
  name: 'any',
  module: import.meta.url,
  summary: '',
  description: '',
  example: '',
  options: v.strictObject({ value: v.any() }),
  run: async () => {},
})

async function optionsInKey(value: unknown): Promise<Record<string, string>> {
  const { manifest } = await collectFacts(any({ value }), {
    cwd: import.meta.dirname,
    epoch: undefined,
    cacheEpoch: undefined,
    sha256: async () => '',
    toolVersion: async () => '',
    note: () => {},
  })
  return Object.fromEntries(Object.entries(manifest).filter(([name]) => name.startsWith('option.')))
}

const refused: [title: string, value: unknown, got: string][] = [
  ['a date', new Date(0), 'Date'],
  ['a map', new Map([['a', 1]]), 'Map'],
  ['a set', new Set([1]), 'Set'],
  ['an address', new URL('http://localhost/'), 'URL'],
  ['a function', () => 1, 'Function'],
  ['a number that JSON cannot say', Number.NaN, 'NaN'],
  ['a large integer', 1n, '1'],
]
for (const [title, value, got] of refused) {
  test(`${title} among the options is refused, as no key can hold it`, async () => {
    await assert.rejects(optionsInKey({ deep: [value] }), {
      code: 'E_OPTION',
      message: `any: option \`value.deep.0\` got ${got}, which no key can hold`,
    })
  })
}

test('text, numbers, null, empty lists and empty objects are told apart', async () => {
  const texts = ['', 0, null, false, [], {}, Object.create(null)].map(
    async (value) => (await optionsInKey(value))['option.value'],
  )
  assert.deepEqual(await Promise.all(texts), ['""', '0', 'null', 'false', '[]', '{}', '{}'])
})

test('a name with a dot is not taken for a path', async () => {
  assert.deepEqual(await optionsInKey({ 'a.b': 1, a: { b: 2 } }), {
    'option.value."a.b"': '1',
    'option.value.a.b': '2',
  })
})
