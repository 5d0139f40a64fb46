/** What fleets, devices and servers may be called. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkFleet, checkNum, parseDevice, parseFleetHost } from '../../../lib/fleet/names.ts'

const refused = { code: 'E_INPUT', exitCode: 1 }
const tricks = [
  '',
  ' ',
  '../x',
  '; rm -rf /',
  '$(x)',
  '`x`',
  "x' OR 1=1 --",
  '%s%n',
  'a\nb',
  'a\0b',
  'ä',
  '-x',
  '/x',
]

test('a fleet has letters, digits and underscores in its name, at most 23', () => {
  for (const name of ['a', 'A_1', '_', '7', 'x'.repeat(23)]) assert.equal(checkFleet(name), name)
  for (const name of [...tricks, 'a-b', 'a.b', 'x'.repeat(24), 'x\n']) {
    assert.throws(() => checkFleet(name), refused, JSON.stringify(name))
  }
})

test('NUM is 0 to 9999', () => {
  assert.deepEqual(['0', '1', '007', '9999'].map(checkNum), [0, 1, 7, 9999])
  for (const text of [...tricks, '10000', '-1', '1.5', '1e3', '0x10', '9'.repeat(400)]) {
    assert.throws(() => checkNum(text), refused, text.slice(0, 20))
  }
})

test('a device is FLEET-N', () => {
  assert.deepEqual(parseDevice('birds_2-17'), { fleet: 'birds_2', idInFleet: 17 })
  for (const text of [
    ...tricks,
    'birds',
    'birds-',
    'birds-0',
    'birds-01',
    'a-b-1',
    'birds-1x',
    `birds-${'9'.repeat(10)}`,
  ]) {
    assert.equal(parseDevice(text), undefined, text)
  }
})

const hosts: [string, { host: string; port: number | undefined }][] = [
  ['whoflewby.org', { host: 'whoflewby.org', port: undefined }],
  ['localhost:2222', { host: 'localhost', port: 2222 }],
  ['192.0.2.1', { host: '192.0.2.1', port: undefined }],
  ['192.0.2.1:22', { host: '192.0.2.1', port: 22 }],
  ['2001:db8::1', { host: '2001:db8::1', port: undefined }],
  ['[2001:db8::1]', { host: '2001:db8::1', port: undefined }],
  ['[2001:db8::1]:65535', { host: '2001:db8::1', port: 65_535 }],
  ['my_host', { host: 'my_host', port: undefined }],
]
for (const [text, expected] of hosts) {
  test(`${text} is a host`, () => assert.deepEqual(parseFleetHost(text), expected))
}

test('nothing else is a host', () => {
  const others = [
    'a:0',
    'a:65536',
    'a:',
    ':22',
    'a..b',
    '-a',
    'a-',
    '[a]',
    '[192.0.2.1]',
    '[::1]22',
    'u@h',
    'a:1:2',
    'x'.repeat(300),
  ]
  for (const text of [...tricks, ...others])
    assert.throws(() => parseFleetHost(text), refused, JSON.stringify(text))
})
