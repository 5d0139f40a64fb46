/** Questions on a real terminal (the pseudo-terminal of `script`). */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { missing } from '../../helpers/disks.ts'

const ask = [
  process.execPath,
  '--import',
  'tsx',
  fileURLToPath(new URL('../../helpers/ask.ts', import.meta.url)),
]

/** Each answer is typed when a question stands there. */
async function dialogue(kinds: string[], answers: string[]): Promise<{ screen: string; got: unknown }> {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-prompts-'))
  const file = join(folder, 'stdout')
  try {
    const words = [...ask, ...kinds].map((word) => `'${word}'`).join(' ')
    const terminal = spawn('script', ['-qefc', `${words} >'${file}'`, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const left = [...answers]
    let screen = ''
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text
      if (/(\? |\(yes\/no\) )$/.test(screen) && left.length > 0) terminal.stdin.write(left.shift()!)
    })
    await once(terminal, 'close')
    assert.deepEqual(left, [])
    return { screen, got: JSON.parse(readFileSync(file, 'utf8')) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('questions on the terminal', { skip: missing('script', 'setsid') }, () => {
  const cases: [title: string, kinds: string[], answers: string[], got: unknown][] = [
    ['take a password with whatever it holds', ['secret'], ['pä55 "w\'$ö\r'], ['pä55 "w\'$ö']],
    ['know the keys that a terminal handles', ['secret'], ['xyz\x15ab\x1b[Dc\x7f\x7fü\r'], ['aü']],
    ['take yes for yes', ['confirm'], ['yes\r'], [true]],
    ['take y for yes', ['confirm'], ['Y\r'], [true]],
    ['take no for no', ['confirm'], ['no\r'], [false]],
    ['take nothing for no', ['confirm'], ['\r'], [false]],
    ['take what is unclear for no', ['confirm'], ['yesterday\r'], [false]],
    ['come one after the other', ['secret', 'confirm', 'secret'], ['a\r', 'y\r', 'b\r'], ['a', true, 'b']],
    ['end by Ctrl-D', ['secret'], ['\x04'], ['E_CANCELLED']],
    ['end by Ctrl-D where the answer is seen', ['confirm'], ['\x04'], ['E_CANCELLED']],
    [
      'end by Ctrl-C, and ask nothing more',
      ['secret', 'secret'],
      ['abc\x03'],
      ['E_INTERRUPTED', 'E_INTERRUPTED'],
    ],
    ['end by Ctrl-C where the answer is seen', ['confirm'], ['\x03'], ['E_INTERRUPTED']],
  ]
  for (const [title, kinds, answers, got] of cases) {
    it(title, async () => {
      const result = await dialogue(kinds, answers)
      assert.deepEqual(result.got, got)
    })
  }

  it('show no character of a password, and leave the terminal as it was', async () => {
    const { screen } = await dialogue(['secret', 'confirm'], ['hunter2\r', 'yes\r'])
    assert.equal(screen.replaceAll('\r', ''), 'Word 0? \nLook:\nRight 1? (yes/no) yes\n')
  })

  it('leave what comes after Ctrl-C a line of its own', async () => {
    const { screen } = await dialogue(['confirm'], ['\x03'])
    assert.match(screen.replaceAll('\r', ''), /\(yes\/no\) \^C\n$/)
  })

  it('fail with a hint where there is no terminal', () => {
    const { stdout } = spawnSync('setsid', ['-w', ...ask, 'secret', 'confirm'], { input: 'word\nyes\n' })
    assert.equal(stdout.toString(), '["E_USAGE","E_USAGE"]')
  })
})
