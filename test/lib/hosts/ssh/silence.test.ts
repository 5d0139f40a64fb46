/** When a link is dead. */
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, it } from 'node:test'
import ssh2 from 'ssh2'
import { endWhenSilent } from '../../../../lib/hosts/ssh/silence.ts'

describe('a link', () => {
  it('is dead after 45 s without a word, not before', (test) => {
    test.mock.timers.enable({ apis: ['setInterval', 'Date'] })
    const stream = new PassThrough()
    const client = new ssh2.Client()
    const errors: string[] = []
    client.on('error', (error) => errors.push(error.message))
    endWhenSilent(stream, client)
    test.mock.timers.tick(40_000)
    stream.emit('data', Buffer.from('x'))
    test.mock.timers.tick(40_000)
    assert.deepEqual([errors, stream.destroyed], [[], false])
    test.mock.timers.tick(10_000)
    assert.deepEqual([errors, stream.destroyed], [['nothing came for 45 s'], true])
    test.mock.timers.tick(100_000)
    assert.equal(errors.length, 1)
  })
})
