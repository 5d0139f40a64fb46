/** Ports here for the devices that a server says are connected: a fake server, real sockets. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, connect as dial, type Server, Socket } from 'node:net'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { followPorts, type PortChange, type ServerChange } from '../../../../lib/fleet/client/follow-ports.ts'
import type { Host } from '../../../../lib/hosts/ssh/types.ts'

/** Below what Linux gives out, above what fleets of the other tests use. */
const [one, two] = [29_871, 29_872]

describe('ports', () => {
  let listing: string
  let broken: FleetsieError | undefined
  let echo: Server
  let controller: AbortController
  let told: (PortChange | ServerChange)[]
  let waiting: (() => void)[]
  let connections: number
  let code: number
  let found: number
  beforeEach(async () => {
    listing = `barn-1 ${one}\n`
    broken = undefined
    controller = new AbortController()
    told = []
    waiting = []
    connections = 0
    code = 0
    found = 0
    echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
    echo.listen(0, '127.0.0.1')
    await once(echo, 'listening')
  })
  afterEach(() => {
    echo.close()
  })

  const host = (): Host => ({
    ...{ name: 'fleetsie@server', user: 'fleetsie', host: 'server', port: 22 },
    hostKey: { type: 'ssh-ed25519', base64: '', fingerprint: '' },
    run: () => Promise.reject(new Error('not asked for')),
    script: async (_text, [fleet]) => {
      assert.equal(fleet, 'barn')
      if (broken) throw broken
      return { code, stdout: Buffer.from(listing), stderr: '' }
    },
    forward: async () => {
      const socket = new Socket({ allowHalfOpen: true })
      socket.connect((echo.address() as { port: number }).port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    },
    close: async () => {},
  })

  function follow(): Promise<void> {
    return followPorts({
      fleet: 'barn',
      signal: controller.signal,
      every: 5,
      connect: async () => {
        connections++
        return host()
      },
      found: async () => {
        found++
      },
      tell: (change) => {
        told.push(change)
        for (const look of waiting.splice(0)) look()
      },
    })
  }

  async function until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => waiting.push(resolve))
  }

  const kinds = () =>
    told.map((change) => ('hostname' in change ? `${change.what} ${change.hostname}` : change.what))

  test('lead to the devices, follow who comes and goes, and are gone at the end', async () => {
    const following = follow()
    await until(() => told.length === 1)
    const socket = dial(one, '127.0.0.1')
    socket.end('hello')
    const [answer] = (await once(socket, 'data')) as [Buffer]
    assert.equal(answer.toString(), 'hello')
    listing = `barn-2 ${two}\n`
    await until(() => told.length === 3)
    assert.deepEqual(kinds(), ['open barn-1', 'closed barn-1', 'open barn-2'])
    controller.abort()
    await following
    await assert.rejects(once(dial(two, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
  })

  test('say once that no device is there, and wait for the first', async () => {
    listing = ''
    const following = follow()
    await until(() => told.length === 1)
    listing = `barn-2 ${two}\n`
    await until(() => told.length === 2)
    controller.abort()
    await following
    assert.deepEqual(kinds(), ['none', 'open barn-2'])
  })

  test('say once that one is taken here, and take it when it is free', async () => {
    const other = createServer().listen(one, '127.0.0.1')
    await once(other, 'listening')
    const following = follow()
    await until(() => told.length === 1)
    assert.match(JSON.stringify(told[0]), /busy.*another program has this port/)
    other.close()
    await until(() => told.length === 2)
    assert.deepEqual(kinds(), ['busy barn-1', 'open barn-1'])
    controller.abort()
    await following
  })

  test('come back with the connection', async () => {
    const following = follow()
    await until(() => told.length === 1)
    broken = new FleetsieError('E_IO', 'the connection broke')
    await until(() => kinds().includes('lost'))
    broken = undefined
    await until(() => kinds().includes('back'))
    assert.equal(found, 1)
    assert.ok(connections >= 2)
    controller.abort()
    await following
  })

  test('end where the host has another key', async () => {
    const following = follow()
    await until(() => told.length === 1)
    broken = new FleetsieError('E_VERIFY', 'the host key has changed')
    await assert.rejects(following, { code: 'E_VERIFY' })
  })

  test('are none for a fleet that the server does not have, which is not remembered', async () => {
    listing = 'bats\ncows\n../x\n'
    code = 3
    await assert.rejects(follow(), { code: 'E_INPUT', message: /no fleet barn/, hint: 'bats, cows' })
    assert.equal(found, 0)
  })

  test('are not made of what no device could have said', async () => {
    listing = `bats-1 ${one}\nbarn-1 22\nbarn-2 80000\nbarn-3 30000\nbarn-1\n../x ${one}\nbarn-4 ${two}\n`
    const following = follow()
    await until(() => told.length === 1)
    assert.deepEqual(kinds(), ['open barn-4'])
    controller.abort()
    await following
  })
})
