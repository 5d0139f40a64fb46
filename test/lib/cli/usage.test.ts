/** Command lines that are none, and the help: what a person reads in a terminal of 80 columns. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { describe, it } from 'node:test'
import type { Command } from 'commander'
import { program } from '../../../lib/cli/program.ts'
import { Session } from '../../../lib/cli/session.ts'
import { usageError } from '../../../lib/cli/usage-error.ts'

const session = new Session(undefined)
await session.close()

/** What is typed → the error and the remedy. */
const wrong: [title: string, args: string[], message: RegExp, hint: string][] = [
  [
    'an argument is missing',
    ['gen', 'hull'],
    /^missing required argument 'fleet_host'$/,
    'fleetsie gen hull fleet.example.org 100 sda1, or fleetsie gen --help',
  ],
  ['an option is mistyped', ['gen', '--zp'], /^unknown option '--zp'$/, '--zip, or fleetsie gen --help'],
  [
    'there is one argument too many',
    ['gen', 'a', 'b', '1', 'c', 'd'],
    /^too many arguments for 'gen'/,
    'fleetsie gen hull fleet.example.org 100 sda1, or fleetsie gen --help',
  ],
  [
    'an option has no such value',
    ['rotate', 'barn', '--jobs', '0'],
    /'0' is invalid\. It takes a whole number above 0\.$/,
    'fleetsie rotate barn, or fleetsie rotate --help',
  ],
  ['a verb is mistyped', ['revok'], /^unknown command 'revok'$/, 'revoke, or fleetsie --help'],
  ['nothing is like the verb', ['xyzzy'], /^unknown command 'xyzzy'$/, 'fleetsie --help'],
  ['a verb of a group is mistyped', ['keys', 'nw'], /^unknown command 'nw'$/, 'new, or fleetsie keys --help'],
]

describe('a command line that is none', () => {
  for (const [title, args, message, hint] of wrong) {
    it(`is told in one line, with a remedy, where ${title}`, async () => {
      const root = program(session)
      const error = await root.parseAsync(args, { from: 'user' }).then(
        () => assert.fail('it was taken'),
        (thrown) => usageError(root, args, thrown),
      )
      assert.match(error.message, message)
      assert.doesNotMatch(error.message, /\n/)
      assert.deepEqual([error.code, error.hint], ['E_USAGE', hint])
    })
  }

  it('is an event with --json', () => {
    const args = ['--import', resolve('node_modules/tsx/dist/loader.mjs'), resolve('lib/cli/bin.ts')]
    const { status, stdout, stderr } = spawnSync(process.execPath, [...args, 'rotate', '--json'], {
      cwd: tmpdir(),
      encoding: 'utf8',
    })
    assert.deepEqual([status, stderr], [1, ''])
    const { type, code } = JSON.parse(stdout)
    assert.deepEqual([type, code], ['error', 'E_USAGE'])
  })
})

describe('the help', () => {
  const all = (command: Command): Command[] => [command, ...command.commands.flatMap(all)]

  for (const command of all(program(session))) {
    it(`of ${command.name()} fits into 80 columns`, () => {
      let text = ''
      command.configureOutput({ writeOut: (more) => (text += more), getOutHelpWidth: () => 80 }).outputHelp()
      assert.deepEqual(
        text.split('\n').filter((line) => line.length > 80),
        [],
      )
    })
  }
})

describe('--zip of gen', () => {
  const table: [title: string, words: string[], positional: string[], zip: string][] = [
    ['before the names', ['--zip', 'hull', 'host', '5'], ['hull', 'host', '5'], ''],
    ['between them', ['hull', '--zip', 'host', '5'], ['hull', 'host', '5'], ''],
    ['at the end', ['hull', 'host', '5', '--zip'], ['hull', 'host', '5'], ''],
    ['before an option', ['hull', 'host', '--zip', '--unmount'], ['hull', 'host'], ''],
    ['with a file', ['hull', 'host', '--zip', 'my.zip', '5'], ['hull', 'host', '5'], 'my.zip'],
    ['with a file of any name', ['--zip=mine', 'hull', 'host'], ['hull', 'host'], 'mine'],
  ]
  for (const [title, words, positional, zip] of table) {
    it(`leaves the other words where they belong: ${title}`, async () => {
      const root = program(session)
      const gen = root.commands.find((command) => command.name() === 'gen')!
      gen.action(() => {})
      await root.parseAsync(['gen', ...words], { from: 'user' })
      assert.deepEqual([gen.args, gen.opts()['zip']], [positional, zip])
    })
  }
})

describe('keys that the server makes', () => {
  for (const [words, said] of [
    [['--server-keys'], true],
    [['--no-server-keys'], false],
    [[], undefined],
  ] as const) {
    it(`are ${said === undefined ? 'left as they were' : said ? 'allowed' : 'forbidden'} by gen ${words}`, async () => {
      const root = program(session)
      const gen = root.commands.find((command) => command.name() === 'gen')!
      gen.action(() => {})
      await root.parseAsync(['gen', 'hull', 'host', ...words], { from: 'user' })
      assert.equal(gen.opts()['serverKeys'], said)
    })
  }
})
