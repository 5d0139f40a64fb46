/** What fleetsie_gen_srv takes as a request, and how it refuses the rest. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { maxRequest } from '../../../../lib/fleet/server/protocol.ts'
import { readRequest } from '../../../../lib/fleet/server/read-request.ts'
import { disk, genRequest } from '../../../helpers/registry.ts'

const read = (text: string | Buffer): Promise<unknown> => readRequest(Readable.from([Buffer.from(text)]))

test('a request is taken as it was meant, in however many pieces it comes', async () => {
  const request = genRequest({
    num: 3,
    serverKeys: true,
    disk: disk(1, { expires: 1_900_000_000, has: [1, 2] }),
  })
  const bytes = Buffer.from(JSON.stringify(request))
  const pieces = Array.from(bytes, (byte) => Buffer.from([byte]))
  assert.deepEqual(await readRequest(Readable.from(pieces)), request)
})

const tricks = [
  "'; DROP TABLE devices; --",
  "x' OR '1'='1",
  '$(touch /tmp/x)',
  '`id`',
  'a;b',
  '%s%n%x',
  '../../etc',
  'a\nb',
  'a\0b',
  '\u2028',
  '-o ProxyCommand=x',
  'x'.repeat(100_000),
  '',
]
const others: unknown[] = [null, true, 1.5, -1, 1e9, [], {}, [1], { $ne: 1 }]

/** Each field of a request, as a path. */
const fields = [
  'do',
  'fleet',
  'num',
  'request',
  'loginKey',
  'serverKeys',
  'disk',
  'disk.lot',
  'disk.key',
  'disk.expires',
  'disk.claimed',
  'disk.has',
  'disk.has.0',
]

for (const field of fields) {
  test(`nothing strange is taken as ${field}`, async () => {
    for (const value of [...tricks, ...others]) {
      const request = structuredClone(
        genRequest({ num: 1, disk: disk(1, { has: [1] }) }),
      ) as unknown as Record<string, unknown>
      const path = field.split('.')
      const last = path.pop()!
      const holder = path.reduce((at, name) => at[name] as Record<string, unknown>, request)
      holder[last] = value
      const allowed =
        (field === 'serverKeys' && value === true) ||
        (field === 'disk.expires' && (value === null || value === 1e9)) ||
        (Array.isArray(value) && /claimed$|has$/.test(field) && !value.some((id) => id !== 1))
      if (allowed) continue
      await assert.rejects(read(JSON.stringify(request)), (error: FleetsieError) => {
        assert.equal(error.code, 'E_INPUT', `${field} ${JSON.stringify(value)}`)
        assert.match(error.message, /^the request is not right: /)
        assert.ok(error.message.length < 200, error.message)
        return true
      })
    }
  })
}

const wrong: { name: string; text: string | Buffer; message: RegExp }[] = [
  { name: 'nothing', text: '', message: /is no JSON/ },
  { name: 'half of one', text: '{"do":"gen","fl', message: /is no JSON/ },
  { name: 'two of them', text: '{"do":"list"}{"do":"list"}', message: /is no JSON/ },
  { name: 'bytes that are no text', text: Buffer.from([0x22, 0xff, 0xfe, 0x22]), message: /is no JSON/ },
  { name: 'deep nesting', text: '['.repeat(2_000_000), message: /is no JSON/ },
  { name: 'a list', text: '[]', message: /not right: do/ },
  { name: 'a text', text: '"gen"', message: /not right/ },
  { name: 'an unknown verb', text: '{"do":"drop"}', message: /not right: do has to be \("gen" \| "list"/ },
  { name: 'a property of all objects', text: '{"do":"__proto__"}', message: /not right: do/ },
  { name: 'a list of no fleet', text: '{"do":"list"}', message: /not right: fleet/ },
  { name: 'a field that there is not', text: '{"do":"list","fleet":"birds","x":1}', message: /not right: x/ },
]
for (const { name, text, message } of wrong) {
  test(`${name} is refused`, () => assert.rejects(read(text), { code: 'E_INPUT', exitCode: 1, message }))
}

test('what is too long is refused as soon as it is', async () => {
  let sent = 0
  const endless = Readable.from(
    (function* () {
      for (;;) {
        sent += 65_536
        yield Buffer.alloc(65_536, ' ')
      }
    })(),
  )
  await assert.rejects(readRequest(endless), { code: 'E_INPUT', message: /at most 4194304 bytes/ })
  assert.ok(sent < 2 * maxRequest)
})

test('the most that the longest request can hold is not too long', async () => {
  const has = Array.from({ length: 100_000 }, (_, i) => 999_900_000 + i)
  const request = genRequest({ num: 9_999, disk: disk(1, { has, claimed: has }) })
  assert.deepEqual(await read(JSON.stringify(request)), request)
})
