import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ClaimRequest, maxRequest, parseRequest } from '../../../../lib/fleet/claim/request.ts'
import { makeOtp } from '../../../../lib/fleet/names.ts'
import { newKey } from '../../../helpers/claims.ts'

const mac = '02:00:5e:00:53:01'
const otp = makeOtp()
const key = newKey()
const two: ClaimRequest = { hwid: mac, otp, key: undefined }
const ours: ClaimRequest = { hwid: mac, otp, key }
const said = `fleetsie 2\nhwid: ${mac}\notp: ${otp}\nkey: ${key}\n\n`
const invalid = { error: 'invalid hardware ID' }

describe('a request', () => {
  const cases: [title: string, text: string, request: ReturnType<typeof parseRequest>][] = [
    ['is two lines', `${mac}\n${otp}\n`, two],
    ['is two lines with CR LF', `${mac}\r\n${otp}\r\n`, two],
    ['is two lines without the last newline', `${mac}\n${otp}`, two],
    ['may write the hardware id in capitals', `${mac.toUpperCase()}\n${otp}\n`, two],
    ['loses what is neither letter, digit, colon nor underscore', ` ${mac};'\n"${otp}$\0\n`, two],
    ['of one line has an empty OTP', `${mac}\n`, { ...two, otp: '' }],
    ['may have more lines, which say nothing', `${mac}\n${otp}\nquit\n`, two],
    ['of nothing is none', '', invalid],
    ['of blank lines is none', '\n\n', invalid],
    ['without a hardware id is none', `${otp}\n${mac}\n`, invalid],
    ['with too short a hardware id is none', '02:00:5e:00:53\nx\n', invalid],
    ['with a format string for its hardware id is none', '%s%n%x\nx\n', invalid],
    ['of our form has a key', said, ours],
    ['of our form may have CR LF', said.replaceAll('\n', '\r\n'), ours],
    ['of our form may have a comment in its key', said.replace(key, `${key} pi@birds-1`), ours],
    ['of our form may say what nobody here knows', said.replace('hwid', 'colour: blue; $(id)\nhwid'), ours],
    ['of our form may have no blank after a colon', said.replaceAll(': ', ':'), ours],
    [
      'of our form that was cut before its empty line is none',
      said.slice(0, -1),
      { error: 'the request ends before its empty line' },
    ],
    [
      'of our form that says the same twice is none',
      said.replace('otp', `hwid: ${mac}\notp`),
      { error: 'hwid is given twice' },
    ],
    [
      'of our form with a line without a colon is none',
      said.replace('otp:', 'otp'),
      { error: 'a line is not of the form `key: value`' },
    ],
    ['of our form without a hardware id is none', said.replace('hwid', 'mac'), invalid],
    ['of our form with tricks in its hardware id is none', said.replace(mac, `${mac}' OR 1=1 --`), invalid],
    ['of our form without a key is none', said.replace('key', 'kex'), { error: 'invalid public key' }],
    [
      'of our form with options in its key is none',
      said.replace(key, `restrict ${key}`),
      { error: 'invalid public key' },
    ],
    ['of our form without an OTP has an empty one', said.replace('otp', 'opt'), { ...ours, otp: '' }],
    [
      'of our form takes no property of objects for its own',
      said.replace('hwid', '__proto__: x\nconstructor: y\nhwid'),
      ours,
    ],
    ['of a later form is none', said.replace('2', '3'), { error: 'this server speaks fleetsie 2, not 3' }],
  ]
  for (const [title, text, request] of cases) it(title, () => assert.deepEqual(parseRequest(text), request))

  it('of every length up to 65,535 is answered', () => {
    const text = 'a'.repeat(65_535)
    for (let length = 0; length <= text.length; length++) {
      const expected = length <= maxRequest ? invalid : { error: 'a request has at most 16384 bytes' }
      assert.deepEqual(parseRequest(text.slice(0, length)), expected, `${length} bytes`)
    }
  })

  it('of random bytes is answered', () => {
    for (let n = 0; n < 2000; n++) {
      const random = Array.from({ length: 400 }, () => String.fromCharCode(Math.floor(Math.random() * 256)))
      assert.ok(parseRequest((n % 2 ? 'fleetsie 2\n' : `${mac}\n`) + random.join('')))
    }
  })
})
