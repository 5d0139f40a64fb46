import assert from 'node:assert/strict'
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
