import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatStatement, type Provenance, parseSubjects } from '../../../lib/formats/in-toto.ts'

const digest = (letter: string) => letter.repeat(64)
const provenance: Provenance = {
  subjects: [
    { name: 'b', sha256: digest('b') },
    { name: 'a', sha256: digest('a') },
  ],
  buildType: 'pkg:npm/fleetsie#image/v1',
  parameters: { stage: 'save', options: { z: 1, a: [true, null] } },
  dependencies: [
    { name: 'stock.img.xz', sha256: digest('d'), uri: 'https://example.org/stock.img.xz' },
    { name: 'overlays/part_2/etc/motd', sha256: digest('c') },
    { name: 'stock.img.xz', sha256: digest('d'), uri: 'https://example.org/stock.img.xz' },
  ],
  builder: { id: 'pkg:npm/fleetsie', version: { fleetsie: '0.1.0' } },
}

test('writes an in-toto v1 statement with SLSA v1 provenance, inputs named by digest', () => {
  assert.deepEqual(JSON.parse(formatStatement(provenance)), {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [
      { name: 'a', digest: { sha256: digest('a') } },
      { name: 'b', digest: { sha256: digest('b') } },
    ],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'pkg:npm/fleetsie#image/v1',
        externalParameters: { stage: 'save', options: { z: 1, a: [true, null] } },
        resolvedDependencies: [
          { name: 'overlays/part_2/etc/motd', digest: { sha256: digest('c') } },
          { name: 'stock.img.xz', uri: 'https://example.org/stock.img.xz', digest: { sha256: digest('d') } },
        ],
      },
      runDetails: { builder: { id: 'pkg:npm/fleetsie', version: { fleetsie: '0.1.0' } } },
    },
  })
})

test('the order of inputs and of members does not matter', () => {
  const turned = {
    ...provenance,
    subjects: [...provenance.subjects].reverse(),
    dependencies: [...provenance.dependencies].reverse(),
    parameters: { options: { a: [true, null], z: 1 }, stage: 'save' },
  }
  assert.equal(formatStatement(turned), formatStatement(provenance))
})

test('reads the subjects back', () => {
  assert.deepEqual(
    parseSubjects(Buffer.from(formatStatement(provenance))),
    [...provenance.subjects].reverse(),
  )
})

const statement = JSON.parse(formatStatement(provenance))
const broken: [string, unknown][] = [
  ['a statement of another version', { ...statement, _type: 'https://in-toto.io/Statement/v0.1' }],
  ['another predicate', { ...statement, predicateType: 'https://spdx.dev/Document' }],
  ['no subjects', { ...statement, subject: [] }],
  ['a subject without a sha256', { ...statement, subject: [{ name: 'a', digest: { sha1: 'x' } }] }],
  ['null', null],
]
for (const [title, value] of broken) {
  test(`refuses ${title}`, () => {
    assert.throws(() => parseSubjects(Buffer.from(JSON.stringify(value))), { code: 'E_DAMAGED' })
  })
}

test('a digest that is none, or a number of many spellings, is a fault of the caller', () => {
  const bad = [
    { ...provenance, subjects: [{ name: 'a', sha256: 'A'.repeat(64) }] },
    { ...provenance, subjects: [] },
    { ...provenance, parameters: { x: 0.1 } },
  ]
  for (const one of bad) assert.throws(() => formatStatement(one), { code: 'E_BUG' })
})
