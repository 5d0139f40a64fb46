import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import { inputsOf, nodeNames, replaceInputs, topological } from '../../../lib/engine/graph.ts'
import { input, stage } from '../../../lib/engine/stage.ts'

const make = (name: string) =>
  stage({
    kind: 'build',
    name,
    module: import.meta.url,
    summary: '',
    description: '',
    example: '',
    options: v.strictObject({
      from: v.optional(input()),
      list: v.optional(v.array(input())),
      nested: v.optional(v.strictObject({ deep: input() })),
      count: v.optional(v.number()),
    }),
    run: async () => {},
  })
const a = make('a')
const b = make('b')

test('inputs are found wherever they stand in the options, with their place', () => {
  const [one, two, three] = [a({}), a({}), a({})]
  const node = b({ from: one, list: [two], nested: { deep: three }, count: 3 })
  assert.deepEqual(
    inputsOf(node).map(({ label, derivation }) => [label, derivation]),
    [
      ['from', one],
      ['list.0', two],
      ['nested.deep', three],
    ],
  )
})

test('a graph is walked inputs first and each node once', () => {
  const shared = a({})
  const left = b({ from: shared })
  const right = b({ from: shared })
  const root = a({ list: [left, right] })
  assert.deepEqual(topological(root), [shared, left, right, root])
})

test('nodes of one stage are told apart by numbers', () => {
  const root = a({ list: [a({}), a({}), b({})] })
  assert.deepEqual([...nodeNames(root).values()], ['a', 'a-2', 'b', 'a-3'])
})

test('derivations are replaced without touching the rest', () => {
  const node = b({ list: [a({})], count: 3 })
  assert.deepEqual(
    replaceInputs(node.options, () => 'here'),
    { list: ['here'], count: 3 },
  )
})

const wrong: [title: string, options: unknown, message: RegExp][] = [
  ['an unknown option is named', { form: 1 }, /b: there is no option `form`/],
  ['a wrong type names option, value and what it takes', { count: 'x' }, /option `count` got "x": .*number/],
  [
    'something else than a result is refused as an input',
    { from: './a' },
    /option `from` got "\.\/a": takes the result of a build stage/,
  ],
]
for (const [title, options, message] of wrong) {
  test(title, () => assert.throws(() => b(options as never), { code: 'E_OPTION', message }))
}
