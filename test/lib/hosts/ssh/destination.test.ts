/** Which destinations are taken, and which never reach a program. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { parseDestination } from '../../../../lib/hosts/ssh/destination.ts'

describe('a destination', () => {
  const taken: [text: string, user: string | undefined, host: string, port: number | undefined][] = [
    ['root@example.org', 'root', 'example.org', undefined],
    ['root@example.org:2222', 'root', 'example.org', 2222],
    ['my_alias', undefined, 'my_alias', undefined],
    ['a.b-c+d@192.0.2.1', 'a.b-c+d', '192.0.2.1', undefined],
    ['me@corp@host', 'me@corp', 'host', undefined],
    ['root@::1', 'root', '::1', undefined],
    ['root@[::1]', 'root', '::1', undefined],
    ['root@[fe80::1%eth0]:22', 'root', 'fe80::1%eth0', 22],
    ['host.:65535', undefined, 'host.', 65535],
  ]
  for (const [text, user, host, port] of taken) {
    it(`is read from ${text}`, () => {
      const found = parseDestination(text)
      assert.deepEqual([found.user, found.host, found.port, found.text], [user, host, port, text])
    })
  }

  const refused = [
    ...['', '@', 'root@', '@host', '-oProxyCommand=touch x', 'root@-oProxyCommand=x', '-l@host', '-h', '--'],
    ...[
      'a b@host',
      'root@a b',
      'root@host ',
      ' host',
      'root@host\n',
      'ro\tot@host',
      'root@ho\0st',
      'root@host\x1b[2J',
    ],
    ...[
      'root@host:',
      'root@host:0',
      'root@host:65536',
      'root@host:22x',
      'root@host:-1',
      'root@host: 22',
      'h:022',
    ],
    ...[
      '$(id)@host',
      'root@`id`',
      'root@host;id',
      "root@ho'st",
      'root@host"',
      'root@host|x',
      'root@host&',
      'root@a/b',
    ],
    ...[
      'root@[::1',
      'root@[::1]x',
      'root@[]',
      'root@[::1]:',
      'root@*',
      'root@h?st',
      'root@h,st',
      'root@!host',
      'ü@host',
    ],
    ...[
      `root@${'x'.repeat(300)}`,
      `${'x'.repeat(300)}@host`,
      'root@host%p',
      '%h@host',
      'root@::1%a b',
      '::1%$(id)',
    ],
  ]
  for (const text of refused) {
    it(`is refused when it is ${JSON.stringify(text).slice(0, 60)}`, () => {
      assert.throws(
        () => parseDestination(text),
        (error) =>
          error instanceof FleetsieError && error.code === 'E_USAGE' && !/\p{Cc}/u.test(error.message),
      )
    })
  }
})
