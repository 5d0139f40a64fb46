/** units/fleetsie_gate.sh: what a claim goes through before Node begins, where /run and /home are folders of the test's. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { suspicious } from '../../lib/fleet/claim/guesses.ts'
import { makeOtp } from '../../lib/fleet/names.ts'
import { newKey, ourForm } from '../helpers/claims.ts'
import { needs, needsRoot } from '../helpers/needs.ts'

const lot = '0123456789abcdef'
const request = ourForm(1, makeOtp(), newKey())

describe('the gate of fleetsie_auth', { skip: needsRoot || needs('unshare', 'flock', 'renice') }, () => {
  let folder: string
  let fleet: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'fleetsie-gate-'))
    fleet = join(folder, 'home/fleetsie/fleets/birds')
    for (const path of [join(folder, 'run/fleetsie/dev/birds'), fleet]) mkdirSync(path, { recursive: true })
    write('gate', (text) => text)
    // The same with shorter times.
    write('short', (text) => text.replace('sleep 20', 'sleep 1').replace('patience=10', 'patience=1'))
    write('patient', (text) => text.replace('patience=10', 'patience=60'))
    write('stuck', (text) => text.replace('renice', 'false renice'))
  })
  after(() => rmSync(folder, { recursive: true }))

  function write(name: string, change: (text: string) => string): void {
    const gate = readFileSync(new URL('../../units/fleetsie_gate.sh', import.meta.url), 'utf8')
    writeFileSync(join(folder, name), change(gate))
  }

  /** Runs `body` behind the gate. */
  function start(body: string, { gate = 'gate', ofLot = lot } = {}): ChildProcess {
    const script = `mount --bind "$0/run" /run && mount --bind "$0/home" /home && cd "$0" && exec sh -c "$1" sh birds ${ofLot}`
    const inner = `set -eu; . ${join(folder, gate)}; ${body}`
    const child = spawn('unshare', ['--mount', 'sh', '-c', script, folder, inner])
    child.stdin!.on('error', () => {})
    return child
  }

  async function said(child: ChildProcess): Promise<string> {
    let text = ''
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (more: string) => {
        text += more
      })
    }
    const [code] = (await once(child, 'close')) as [number]
    return code === 0 ? text : `${text}exit ${code}`
  }

  const whole: [title: string, said: string, passed?: string][] = [
    ['our form', request],
    ['our form with CR LF', request.replaceAll('\n', '\r\n')],
    ['the two lines', '02:00:5e:00:53:01\nabc\n'],
    [
      'two lines, the rest of which is not read',
      '02:00:5e:00:53:01\nabc\nmore\n',
      '02:00:5e:00:53:01\nabc\n',
    ],
    ['what a shell would make more of', 'fleetsie 2\nhwid: $(id) `id` \\ "\'\n\n'],
  ]
  for (const [title, words, passed = words] of whole) {
    it(`passes on ${title}, also where the other side stays open`, async () => {
      const child = start('exec cat')
      child.stdin!.write(words)
      assert.equal(await said(child), passed)
    })
  }

  it('passes on a request without its last newline', async () => {
    const child = start('exec cat')
    child.stdin!.end('02:00:5e:00:53:01\nabc')
    assert.match(await said(child), /^02:00:5e:00:53:01\nabc\n+$/)
  })

  it('refuses who says nothing, and who drips', async () => {
    const children = [start('exec cat', { gate: 'short' }), start('exec cat', { gate: 'short' })]
    const drip = setInterval(() => children[1]!.stdin!.write('f'), 100)
    const answers = await Promise.all(children.map(said))
    clearInterval(drip)
    assert.deepEqual(answers, Array(2).fill('Error\nno request within 20 seconds\n'))
  })

  it('takes no endless line', async () => {
    const child = start('exec cat')
    const text = said(child)
    child.stdin!.write('a'.repeat(8 << 20))
    assert.equal(await text, 'Error\na request has at most 16384 bytes\n')
  })

  it('spends no more than a second of a processor on zeros', { timeout: 120_000 }, async () => {
    const child = start('exec cat')
    const text = said(child)
    const more = (): void => {
      while (child.stdin!.write(Buffer.alloc(1 << 20)));
    }
    child.stdin!.on('drain', more)
    more()
    assert.equal(await text, 'Error\na request has at most 16384 bytes\n')
  })

  it('lets a disk that guesses in also where nobody can be made to wait', async () => {
    writeFileSync(join(fleet, `${lot}.guessing`), '')
    const child = start('exec cat', { gate: 'stuck' })
    child.stdin!.write(request)
    assert.equal(await said(child), request)
    rmSync(join(fleet, `${lot}.guessing`))
  })

  /** A claim that is at work until the test's folder has `go`. */
  const work = `echo in; until [ -e go ]; do sleep 0.05; done`

  /** How many of `children` are let in while others wait; then all go on and say `expected`. */
  async function letIn(children: ChildProcess[], expected: string): Promise<number> {
    let inside = 0
    const all = children.map((child) => {
      child.stdin!.write(request)
      child.stdout!.once('data', () => inside++)
      return said(child)
    })
    const waiting = (): number => children.filter(({ pid }) => isWaiting(pid!)).length
    while (inside === 0 || inside + waiting() < children.length)
      await new Promise((resolve) => setTimeout(resolve, 10))
    const most = inside
    writeFileSync(join(folder, 'go'), '')
    for (const text of await Promise.all(all)) assert.equal(text, expected)
    rmSync(join(folder, 'go'))
    return most
  }

  it('lets no more than four of a disk in at the same time, and all in turn', async () => {
    // Which place one waits for is by its number: of so many, each place has some.
    const most = await letIn(
      Array.from({ length: 64 }, () => start(work)),
      'in\n',
    )
    assert.equal(most, 4)
  })

  it('lets one in of a disk that guesses, after everybody else', async () => {
    writeFileSync(join(fleet, `${lot}.guessing`), '.'.repeat(suspicious))
    const most = await letIn(
      Array.from({ length: 6 }, () => start(`${work}; nice`, { gate: 'patient' })),
      'in\n19\n',
    )
    rmSync(join(fleet, `${lot}.guessing`))
    assert.equal(most, 1)
  })

  it('tells who waited too long to come again, and lets another disk in meanwhile', async () => {
    writeFileSync(join(fleet, `${lot}.guessing`), '')
    const first = start(work)
    const ended = said(first)
    first.stdin!.write(request)
    await once(first.stdout!, 'data')
    const second = start(work, { gate: 'short' })
    second.stdin!.write(request)
    assert.equal(await said(second), 'Error\ntry again later: too many devices of this disk ask at once\n')
    const other = start('exec cat', { ofLot: 'fedcba9876543210' })
    other.stdin!.write(request)
    assert.equal(await said(other), request)
    writeFileSync(join(folder, 'go'), '')
    assert.equal(await ended, 'in\n')
    for (const path of [join(folder, 'go'), join(fleet, `${lot}.guessing`)]) rmSync(path)
  })

  it('is passed where there is no folder for its locks', async () => {
    rmSync(join(folder, 'run/fleetsie/dev/birds'), { recursive: true })
    const child = start('exec cat')
    child.stdin!.write(request)
    assert.equal(await said(child), request)
  })
})

/** Whether it has a `flock` that has not come back. */
function isWaiting(pid: number): boolean {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
    return children.some((child) => readFileSync(`/proc/${child}/comm`, 'utf8') === 'flock\n')
  } catch {
    // It has just ended.
    return false
  }
}
