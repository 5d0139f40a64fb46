import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { hasGnuTime, inTurn, measure, type Subject } from '../../bench/measure.ts'

const node = (script: string, ...args: string[]): Subject => ({
  command: process.execPath,
  args: ['-e', script, ...args],
  cwd: '/',
  env: {},
})

describe('a measured run', () => {
  it('counts the memory of a child in a group of its own, as our stages start them', {
    skip: !hasGnuTime && 'needs GNU time',
  }, async () => {
    const fill = 'Buffer.alloc(200e6, 1)'
    const parent = `require('child_process').spawn(process.execPath, ['-e', process.argv[1]], { detached: true })`
    const { peak, cpu } = await measure(node(parent, fill))
    assert.ok(peak! > 200e6 && peak! < 400e6, `${peak}`)
    assert.ok(cpu! > 0)
  })

  it('keeps what the program printed', async () => {
    const { stdout, wall } = await measure(node('console.log(1 + 1)'))
    assert.equal(stdout, '2\n')
    assert.ok(wall > 0)
  })

  it('counts what is written, of children as well', { skip: !hasGnuTime && 'needs GNU time' }, async () => {
    const write = 'require("fs").writeFileSync(process.argv[1], Buffer.alloc(3e6))'
    const parent = `require('child_process').execFileSync(process.execPath, ['-e', process.argv[1], process.argv[2]])`
    const file = join(tmpdir(), `fleetsie-written-${process.pid}`)
    try {
      const { written } = await measure(node(parent, write, file))
      assert.ok(written! >= 3e6 && written! < 4e6, `${written}`)
    } finally {
      await rm(file, { force: true })
    }
  })

  it('is ended, with what it started, when it takes longer than its limit', async () => {
    const child =
      'require("child_process").spawnSync(process.execPath, ["-e", "setInterval(() => {}, 1000)"])'
    const started = performance.now()
    await assert.rejects(measure({ ...node(child), env: process.env, limit: 0.5 }), /ended with 124/)
    assert.ok(performance.now() - started < 5000)
  })

  it('fails with the last words of a program that fails', async () => {
    await assert.rejects(measure(node('console.error("no luck"); process.exit(3)')), /ended with 3.*no luck/s)
  })
})

it('two programs run in turn, the first time of each uncounted', async () => {
  const order: string[] = []
  const told = (name: string): Subject => ({
    ...node('0'),
    before: async (run) => {
      order.push(`${name}${run}`)
    },
  })
  const { ours, peer } = await inTurn(told('a'), told('b'), 2)
  assert.deepEqual(order, ['a0', 'b0', 'a1', 'b1', 'a2', 'b2'])
  assert.deepEqual([ours.length, peer.length], [2, 2])
})
