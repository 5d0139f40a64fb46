/** What a shell on the far side makes of quoted arguments. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { quoteCommand } from '../../../../lib/hosts/ssh/quote.ts'
import { missing } from '../../../helpers/disks.ts'

const tricky = [
  ...[
    '',
    ' ',
    "it's",
    "'''",
    '"',
    '\\',
    '\\\\n',
    '$HOME',
    '$(id)',
    '`id`',
    '*',
    '?',
    '[a]',
    '~',
    '~root',
    '!!',
    '#',
  ],
  ...[
    'a=b',
    'a\nb',
    '\n',
    '\t',
    ';',
    '&',
    '|',
    '<x',
    '>x',
    '{a,b}',
    '-n',
    '--',
    'ü😀',
    '\x01\x7f',
    'a\rb',
    '%s',
    '^',
  ],
]

describe('a quoted command', () => {
  for (const shell of [['dash'], ['bash'], ['bash', '--posix'], ['busybox', 'sh']]) {
    const skip = missing(shell[0]!)
    it(`gives the program the same arguments in ${shell.join(' ')}`, { skip }, () => {
      const command = quoteCommand(['printf', '%s\\0', ...tricky])
      const { stdout } = spawnSync(shell[0]!, [...shell.slice(1), '-c', command])
      assert.deepEqual(stdout.toString().split('\0').slice(0, -1), tricky)
    })
  }

  it('does not take a first word for an assignment', () => {
    const { status } = spawnSync('sh', ['-c', `${quoteCommand(['A=b'])}; test -z "$A"`], { stdio: 'ignore' })
    assert.equal(status, 0)
  })

  const refused: [title: string, argv: string[]][] = [
    ['without a program', []],
    ['with a NUL byte', ['echo', 'a\0b']],
    ['longer than a kernel takes', ['echo', 'x'.repeat(200_000)]],
  ]
  for (const [title, argv] of refused) {
    it(`is refused ${title}`, () => {
      assert.throws(
        () => quoteCommand(argv),
        (error) => error instanceof FleetsieError && error.code === 'E_INPUT',
      )
    })
  }
})
