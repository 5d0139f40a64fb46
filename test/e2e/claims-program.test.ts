/** The program that a disk's key runs: many at once, killed at any step, fed with anything, on a full disk. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { answered, ClaimProgram } from '../helpers/claim-program.ts'
import { type ClaimFleet, hwid, newKey, ourForm } from '../helpers/claims.ts'
import { parseKeyLine } from '../helpers/key-lines.ts'
import { needs, needsRoot } from '../helpers/needs.ts'

const racers = 200
const together = 25

describe('fleetsie_auth', { skip: needsRoot || needs('unshare', 'nsenter', 'tar') }, () => {
  let program: ClaimProgram
  let fleet: ClaimFleet
  /** The next device that nobody has claimed. */
  let next = 1
  before(async () => {
    program = await ClaimProgram.start()
    fleet = program.fleet(200)
  })
  after(() => program?.stop())
  const ours = (device: number, id: number, key: string): string => ourForm(device, fleet.otps[id - 1]!, key)

  test(`of ${racers} racers on one OTP one wins`, async () => {
    const id = next++
    const answers: string[] = []
    let started = 0
    const racer = async (): Promise<void> => {
      while (started < racers) {
        const { code, stdout, stderr } = await program.answer(ours(1000 + started++, id, newKey()))
        assert.equal(code, 0, stderr)
        assert.equal(stderr, '')
        answers.push(stdout.split('\n')[0]!)
      }
    }
    await Promise.all(Array.from({ length: together }, racer))
    assert.equal(answers.filter((answer) => answer === 'Ok').length, 1)
    assert.equal(answers.filter((answer) => answer === 'Try').length, racers - 1)
    assert.equal(fleet.keyLines().length, 1)
  })

  test('killed before any of its writes, the next call ends what it began', {
    skip: needs('strace'),
  }, async () => {
    const writes = 'write,pwrite64,writev,fsync,fdatasync,ftruncate,unlink'
    const trace = join(program.folder, 'trace')
    let killed = 0
    for (let step = 1; ; step++) {
      const id = next++
      const said = ours(id, id, newKey())
      const inject = ['strace', '-f', '-o', trace, '-e', `inject=${writes}:signal=KILL:when=${step}`]
      const { stdout } = await program.answer(said, inject)
      const again = fleet.ask(said)
      assert.match(again, new RegExp(`^Ok\n\n\nbirds-${id}\n`), `step ${step}`)
      if (stdout) assert.equal(stdout, again)
      const lines = fleet.keyLines().map(parseKeyLine)
      assert.equal(
        lines.filter((line) => line?.kind === 'device' && line.hostname === `birds-${id}`).length,
        1,
      )
      if (!readFileSync(trace, 'utf8').includes('+++ killed by SIGKILL')) break
      killed += 1
    }
    // The commit, the line and the answer at least.
    assert.ok(killed > 8, `${killed} steps`)
    assert.equal(fleet.db.pragma('integrity_check'), 'ok')
  })

  const random = Buffer.from(Array.from({ length: 65_535 }, () => Math.floor(Math.random() * 256)))
  const inputs: [title: string, said: Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['65,535 random bytes', random],
    ['one byte less than too much', Buffer.alloc(16_383, 'a')],
    ['megabytes', Buffer.alloc(8 << 20, 'a\n')],
    ['the greeting and zeros', Buffer.concat([Buffer.from('fleetsie 2\n'), Buffer.alloc(60_000)])],
  ]
  for (const [title, said] of inputs) {
    test(`answers ${title} with Error`, async () => {
      const { code, stdout, stderr } = await program.answer(said)
      assert.match(stdout, /^Error\n[ -~]+\n$/)
      assert.deepEqual([code, stderr], [0, ''])
    })
  }

  test('ends who says nothing, and who drips, within 20 seconds', async () => {
    const silent = program.start()
    const dripping = program.start()
    const drip = setInterval(() => dripping.stdin!.write('f'), 500)
    dripping.stdin!.on('error', () => clearInterval(drip))
    const began = performance.now()
    const answers = await Promise.all([answered(silent), answered(dripping)])
    clearInterval(drip)
    for (const { code, stdout } of answers) {
      assert.deepEqual([code, stdout], [0, 'Error\nno request within 20 seconds\n'])
    }
    assert.ok(performance.now() - began < 40_000)
    const line =
      '-t fleetsie_auth -p auth.info fleet=birds lot=- hwid=- ip=192.0.2.7 answer=Error no request within 20 seconds'
    assert.equal(program.log().filter((told) => told === line).length, 2)
  })

  test('tells the system log who claimed what', async () => {
    const id = next++
    assert.match((await program.answer(ours(id, id, newKey()))).stdout, /^Ok\n/)
    const line = `-t fleetsie_auth -p auth.info fleet=birds lot=- hwid=${hwid(id)} ip=192.0.2.7 answer=Ok birds-${id}`
    assert.equal(program.log().at(-1), line)
  })

  test('does not wait for a device that keeps its side open', async () => {
    const id = next++
    const child = program.start()
    child.stdin!.on('error', () => {}).write(ours(id, id, newKey()))
    const { code, stdout } = await answered(child)
    assert.equal(code, 0)
    assert.match(stdout, /^Ok\n/)
  })

  test('waits for whoever has the database, as one does that rewrites the keys', async () => {
    const id = next++
    fleet.db.begin()
    const child = program.start()
    child.stdin!.end(ours(id, id, newKey()))
    const answer = answered(child)
    // nsenter becomes sh, which starts the program.
    while (!hasOpen(child.pid!, 'fleet.sqlite')) {
      assert.equal(child.exitCode, null, 'it has ended')
      await new Promise((resolve) => setImmediate(resolve))
    }
    fleet.db.commit()
    assert.match((await answer).stdout, /^Ok\n/)
  })

  test('on a full disk refuses, and grants when there is room', async () => {
    const id = next++
    const said = ours(id, id, newKey())
    const full = ['sh', '-c', `ulimit -f 0; trap '' XFSZ; exec "$@"`, 'sh']
    const { code, stdout } = await program.answer(said, full)
    assert.deepEqual([code, stdout.split('\n')[0]], [0, 'Error'])
    assert.match(stdout, /try again later: /)
    const row = fleet.db.get<{ hwid: string | null }>('SELECT hwid FROM devices WHERE id = ?', id)
    assert.equal(row?.hwid, null)
    assert.match((await program.answer(said)).stdout, /^Ok\n/)
    assert.match(fleet.ask(`${hwid(id)}\nx\n`), /^Error\nthis fleet takes only/)
  })
})

/** Whether a process or one of those that it started has a file of this name open. */
function hasOpen(pid: number, name: string): boolean {
  try {
    const process = `/proc/${pid}`
    if (readdirSync(`${process}/fd`).some((fd) => readlinkSync(`${process}/fd/${fd}`).endsWith(name)))
      return true
    const children = readFileSync(`${process}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    return children.some((child) => hasOpen(Number(child), name))
  } catch {
    // A file was closed, or a process ended, while we looked.
    return false
  }
}
