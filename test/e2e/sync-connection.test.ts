/** `--sync` when a push is cut short, the device is away or lets nobody in, and what its connection gives away. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { FleetsieError } from '../../lib/errors.ts'
import { MiB, tool } from '../helpers/disks.ts'
import { file } from '../helpers/layers.ts'
import { skip, syncedDevice } from '../helpers/synced-device.ts'

describe('the connection of watch --sync', { skip }, () => {
  const { sync, push, at, text, connections, device } = syncedDevice()

  it('never shows half a file to who reads meanwhile, and leaves an open one as it was', async () => {
    const to = sync()
    const contents = ['a', 'b'].map((letter) => letter.repeat(3 * MiB))
    await push(to, { 2: [file('srv/whole', contents[0])] })
    const before = await open(at('srv/whole'))
    let pushing = true
    const reading = (async () => {
      const seen = new Set<string>()
      while (pushing) {
        const read = text('srv/whole')
        assert.ok(contents.includes(read), `half a file of ${read.length} bytes`)
        seen.add(read[0]!)
        await new Promise((resolve) => setImmediate(resolve))
      }
      return seen
    })()
    for (const turn of [1, 0, 1, 0, 1]) await push(to, { 2: [file('srv/whole', contents[turn])] })
    pushing = false
    assert.deepEqual((await reading).size, 2)
    assert.equal((await before.readFile('utf8')).slice(0, 2), 'aa')
    await before.close()
  })

  it('changes nothing when a push is ended half-way, and the next brings all of it', async () => {
    const to = sync()
    await push(to, { 2: [file('srv/cancel/a', 'old')] })
    const large = { 2: [file('srv/cancel/a', 'new'), file('srv/cancel/large', Buffer.alloc(96 * MiB, 'x'))] }
    const request = await device().request(large)
    const controller = new AbortController()
    const pushed = to.push(request, controller.signal)
    pushed.catch(() => {})
    while (device().leftovers().length === 0) await new Promise((resolve) => setImmediate(resolve))
    controller.abort()
    await assert.rejects(pushed, { code: 'E_INTERRUPTED' })
    assert.equal(text('srv/cancel/a'), 'old')
    const result = await push(to, large)
    assert.equal(result.files, 2)
    assert.equal(text('srv/cancel/a'), 'new')
    assert.equal(statSync(at('srv/cancel/large')).size, 96 * MiB)
    while (device().leftovers().length > 0) await new Promise((resolve) => setImmediate(resolve))
  })

  it('says that a device is away, and sends all again when it is back', async () => {
    const to = sync()
    const layer = { 2: [file('srv/again/a', 'a'), file('srv/again/b', 'b')] }
    await push(to, layer)
    await device().stop()
    await assert.rejects(push(to, layer, { 2: [file('srv/again/c', 'c')] }), { code: 'E_STAGE' })
    await assert.rejects(push(to, layer), { code: 'E_STAGE', message: /cannot be reached/ })
    rmSync(at('srv/again'), { recursive: true })
    await device().start()
    assert.equal((await push(to, layer)).files, 2)
    assert.equal(text('srv/again/b'), 'b')
  })

  it('sends all again over a new connection, since the device may be another', async () => {
    const to = sync()
    const layer = { 2: [file('srv/new/a', 'a'), file('srv/new/b', 'b')] }
    await push(to, layer)
    await device().stop()
    while (connections().length > 0) await new Promise((resolve) => setImmediate(resolve))
    rmSync(at('srv/new'), { recursive: true })
    await device().start()
    assert.equal((await push(to, layer)).files, 2)
    assert.equal(text('srv/new/a'), 'a')
  })

  it('sends all again after a push that the device refused half-way', async () => {
    const to = sync()
    await push(to, { 2: [file('srv/a-first', 'a')] })
    tool('chattr', ['+i', at('srv/real')])
    const layer = { 2: [file('srv/a-first', 'b'), file('srv/real/refused', 'r')] }
    try {
      await assert.rejects(push(to, layer), (error: FleetsieError) => {
        assert.equal(error.code, 'E_STAGE')
        assert.match(error.message, /partition 2 .*\n.*refused.*Operation not permitted/s)
        return true
      })
    } finally {
      tool('chattr', ['-i', at('srv/real')])
    }
    assert.equal(text('srv/a-first'), 'b')
    await push(to, { 2: [file('srv/a-first', 'a')] })
    assert.equal(text('srv/a-first'), 'a')
  })

  const refusals = [
    { who: 'stranger', why: 'a host key that is not the known one', code: 'E_VERIFY', says: /has changed/ },
    {
      who: 'unknown',
      why: 'a host that ssh does not know yet',
      code: 'E_VERIFY',
      says: /verification failed/,
    },
    { who: 'nobody', why: 'a user who is not let in', code: 'E_RIGHTS', says: /Permission denied/ },
    { who: 'plain', why: 'a user who cannot become root', code: 'E_RIGHTS', says: /plain is not root there/ },
  ]
  for (const { who, why, code, says } of refusals) {
    it(`refuses ${why}, with the remedy`, async () => {
      await assert.rejects(push(sync(who), { 2: [file('srv/refused', '')] }), (error: FleetsieError) => {
        assert.equal(error.code, code)
        assert.match(error.message, says)
        assert.ok(error.hint)
        return true
      })
      assert.equal(existsSync(at('srv/refused')), false)
    })
  }

  it('ends its connection when it is closed', async () => {
    const to = sync()
    await push(to, { 2: [file('srv/closed', '')] })
    assert.equal(connections().length, 1)
    await to.close()
    assert.deepEqual(connections(), [])
  })

  it('keeps the agent from the device, though the user forwards it elsewhere', async () => {
    const socket = join(device().root, '..', 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] })
    try {
      await once(agent.stdout, 'data')
      process.env['SSH_AUTH_SOCK'] = socket
      await push(sync(), { 2: [file('srv/agent', '')] })
      assert.deepEqual(
        readdirSync(at('tmp')).filter((name) => name.startsWith('ssh-')),
        [],
      )
    } finally {
      delete process.env['SSH_AUTH_SOCK']
      agent.kill()
    }
  })
})
