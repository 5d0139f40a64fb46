import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseDpkgStatus } from '../../../lib/formats/dpkg.ts'

const parse = (text: string) => parseDpkgStatus(Buffer.from(text))
const installed = 'Status: install ok installed\nVersion: 1.0-1\nArchitecture: amd64\n'

const systemDatabase = '/var/lib/dpkg/status'
const noDpkg = existsSync(systemDatabase) ? false : 'this system has no dpkg database'

test('agrees with dpkg-query about every package of this machine', { skip: noDpkg }, () => {
  const fields = [
    'db:Status-Status',
    'Package',
    'Version',
    'Architecture',
    'source:Package',
    'source:Version',
    'Maintainer',
  ]
  const format = `${fields.map((field) => `\${${field}}`).join('|')}\n`
  const query = execFileSync('dpkg-query', ['-W', '-f', format], { encoding: 'utf8', maxBuffer: 1 << 26 })
  const expected = query
    .trim()
    .split('\n')
    .map((line) => line.split('|'))
    .filter(([state]) => state !== 'config-files' && state !== 'not-installed')
    .map(([, ...rest]) => rest.join('|'))
    .sort()
  const ours = parseDpkgStatus(readFileSync(systemDatabase)).map(
    ({ name, version, architecture, source, maintainer }) =>
      [name, version, architecture, source.name, source.version, maintainer].join('|'),
  )
  assert.deepEqual(ours.sort(), expected)
})

test('keeps packages of which files are there, and leaves out removed ones', () => {
  const states = [
    'installed',
    'half-configured',
    'unpacked',
    'triggers-pending',
    'config-files',
    'not-installed',
  ]
  const text = states
    .map(
      (state, index) => `Package: p${index}\nStatus: deinstall ok ${state}\nVersion: 1\nArchitecture: all\n`,
    )
    .join('\n')
  assert.deepEqual(
    parse(text).map(({ name }) => name),
    ['p0', 'p1', 'p2', 'p3'],
  )
})

test('reads a source with a version of its own, and continuation lines', () => {
  const text = `Package: a\n${installed}Source: src (2:1.0~rc1)\nDescription: one\n line two\n .\nHomepage: https://a.example/\n`
  const [one] = parse(text)
  assert.deepEqual(one?.source, { name: 'src', version: '2:1.0~rc1' })
  assert.equal(one?.homepage, 'https://a.example/')
})

test('sorts by bytes and tells architectures apart', () => {
  const text = ['b', 'a', 'a+x'].map((name) => `Package: ${name}\n${installed}`).join('\n\n\n')
  const other = `\nPackage: a\n${installed.replace('amd64', 'i386')}`
  assert.deepEqual(
    parse(text + other).map(({ name, architecture }) => `${name}:${architecture}`),
    ['a:amd64', 'a:i386', 'a+x:amd64', 'b:amd64'],
  )
})

test('an empty database holds nothing', () => {
  assert.deepEqual(parse(''), [])
  assert.deepEqual(parse('\n\n'), [])
})

const broken: [string, string, RegExp][] = [
  ['a paragraph without a package', `${installed}`, /line 1 .*package name/],
  ['a package without a status', 'Package: a\nVersion: 1\n', /line 1 .*status/],
  ['a version with a blank', 'Package: a\nStatus: install ok installed\nVersion: 1 2\n', /line 1 .*version/],
  ['a line without a colon', 'Package: a\nwhat\n', /line 2 .*field name/],
  ['a continuation at the start', ' x\n', /line 1 .*continuation/],
  ['one field twice', 'Package: a\npackage: b\n', /line 2 .*again/],
  [
    'a second paragraph, and names its line',
    `Package: a\n${installed}\nPackage: b c\n${installed}`,
    /line 6/,
  ],
]
for (const [title, text, message] of broken) {
  test(`refuses ${title}`, () => {
    assert.throws(() => parse(text), { code: 'E_DAMAGED', message })
  })
}
