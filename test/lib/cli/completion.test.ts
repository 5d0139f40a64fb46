/** The scripts of `completion`, asked by the shells themselves. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { needs } from '../../helpers/needs.ts'

const bin = resolve('lib/cli/bin.ts')
const loader = resolve('node_modules/tsx/dist/loader.mjs')

/** Without loop devices, which come and go with other tests. */
const disks = readdirSync('/sys/class/block').filter((name) => /^(?:sd|vd|nvme|mmcblk)/.test(name))

/** What is typed → what must be among the words offered, and what must not. */
const table: [title: string, line: string, offered: string[], not: string[]][] = [
  ['verbs by their first letters', 'fleetsie bu', ['build'], ['watch']],
  ['the targets of this pipeline', 'fleetsie build ', ['one', 'two words'], ['fetch']],
  ['a target after a flag with a value', 'fleetsie build -j 2 o', ['one'], ['two words']],
  ['a stage of any target', 'fleetsie explain ', ['fetch'], ['one']],
  ['the flags of a verb', 'fleetsie build --off', ['--offline'], ['--json']],
  ['the choices of a flag', 'fleetsie graph --format ', ['mermaid', 'dot'], []],
  ['the verbs of a group', 'fleetsie keys ', ['new', 'show'], ['build']],
  ['the flags of a verb in a group', 'fleetsie store verify --re', ['--repair'], ['--json']],
  ['files where a file belongs', 'fleetsie verify pipe', ['pipeline.mts'], ['one']],
  ['fleets that were used from here', 'fleetsie rotate ', ['barn'], ['one']],
  ['disks for the partition of gen', 'fleetsie gen barn h 9 ', disks, []],
  ['the servers for --host', 'fleetsie devices --host ', ['fleet.example'], ['one']],
  ['the same for fleetsie_mod', 'fleetsie_mod bu', ['build'], []],
  ['fleets for fleetsie_gen', 'fleetsie_gen ', ['barn'], ['build']],
  ['a flag of gen for fleetsie_gen', 'fleetsie_gen barn --unm', ['--unmount'], ['--json']],
  ['the servers for fleetsie_srv', 'fleetsie_srv ', ['fleet.example'], ['build']],
]

const pipeline = `import { fetch, pipeline } from ${JSON.stringify(resolve('lib/index.ts'))}
const make = () => fetch({ file: 'stock.img.xz' })
await pipeline({ one: make, 'two words': make, '$(touch ran)': make })
`

/** Types into an interactive zsh and reads what it shows: completion works only there. */
const typist = `
import os, pty, select, sys, tty
script, line = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvpe('zsh', ['zsh', '-f', '-i'], dict(os.environ, TERM='dumb'))
def until(mark):
    seen = ''
    while mark not in seen:
        if not select.select([terminal], [], [], 60)[0]:
            sys.exit('zsh did not answer: ' + seen)
        seen += os.read(terminal, 65536).decode(errors='replace')
    return seen
def say(text):
    os.write(terminal, text.encode())
say("autoload -Uz compinit && compinit -u -D; source '" + script + "'; setopt no_beep no_always_last_prompt no_list_ambiguous\\n")
say("ready() { zle -M 'at-the-'end; }; zle -N ready; bindkey '^X' ready; print rea''dy\\n")
until('ready\\r\\n')
say(line + '\\t\\x18')
print(until('at-the-end'))
`

describe('completion', () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'fleetsie-test-completion-'))
    mkdirSync(join(folder, 'bin'))
    mkdirSync(join(folder, 'code'))
    for (const name of ['fleetsie', 'fleetsie_mod', 'fleetsie_gen', 'fleetsie_srv']) {
      symlinkSync(bin, join(folder, 'code', name))
      writeFileSync(
        join(folder, 'bin', name),
        `#!/bin/sh\nexec node --import ${loader} ${join(folder, `code/${name}`)} "$@"\n`,
      )
      chmodSync(join(folder, 'bin', name), 0o755)
    }
    writeFileSync(join(folder, 'pipeline.mts'), pipeline)
    mkdirSync(join(folder, '.config/fleetsie/fleets'), { recursive: true })
    writeFileSync(join(folder, '.config/fleetsie/fleets/barn.host'), 'fleet.example\n')
    for (const shell of ['bash', 'zsh', 'fish']) {
      writeFileSync(join(folder, shell), run('fleetsie', ['completion', shell]))
    }
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  function run(program: string, args: readonly string[]): string {
    const { XDG_CONFIG_HOME: _, ...own } = process.env
    const env = { ...own, PATH: `${folder}/bin:${process.env['PATH']}`, HOME: folder }
    const ended = spawnSync(program, args, { cwd: folder, env, encoding: 'utf8' })
    assert.equal(ended.status, 0, `${program}: ${ended.error ?? ''}${ended.stderr}${ended.stdout}`)
    return ended.stdout
  }

  const offers: Record<'bash' | 'fish' | 'zsh', (line: string) => string> = {
    bash: (line) => {
      const words = line.split(' ')
      const ask = `source ./bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fleetsie; printf '%s\\n' "\${COMPREPLY[@]}"`
      return run('bash', ['-c', ask, 'bash', ...words])
    },
    fish: (line) => run('fish', ['--no-config', '-c', 'source ./fish; complete -C $argv', line]),
    zsh: (line) => run('python3', ['-c', typist, join(folder, 'zsh'), line]),
  }

  for (const [shell, offered] of Object.entries(offers)) {
    describe(`in ${shell}`, { skip: needs(shell, 'python3') }, () => {
      for (const [title, line, wanted, unwanted] of table) {
        it(`offers ${title}`, () => {
          const said = offered(line)
          // zsh and fish put a backslash or quotes around the space of a word.
          const plain = said.replaceAll('\\ ', ' ')
          for (const word of wanted) assert.ok(plain.includes(word), `${word} is not in: ${said}`)
          for (const word of unwanted) assert.ok(!plain.includes(word), `${word} is in: ${said}`)
        })
      }

      it('runs nothing that stands in a word', () => {
        offered('fleetsie build ')
        assert.equal(spawnSync('test', ['-e', join(folder, 'ran')]).status, 1)
      })
    })
  }

  it('is a script that shellcheck has nothing to say about', { skip: needs('shellcheck') }, () => {
    run('shellcheck', ['-s', 'bash', join(folder, 'bash')])
  })

  it('says which shells there are when none is named', () => {
    const ended = spawnSync(process.execPath, ['--import', loader, bin, 'completion'], {
      cwd: folder,
      encoding: 'utf8',
    })
    assert.equal(ended.status, 1)
    assert.match(ended.stderr, /which shell\? bash, zsh or fish/)
  })
})
