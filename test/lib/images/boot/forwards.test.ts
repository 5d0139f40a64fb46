import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, it } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { freeForward, parseForward } from '../../../../lib/images/boot/forwards.ts'

describe('a forward', () => {
  it('is a port here and a port in the image', () => {
    assert.deepEqual(parseForward('8080:80'), { host: 8080, guest: 80 })
  })

  for (const text of [
    '',
    '8080',
    '8080:',
    ':80',
    '0:80',
    '80:65536',
    '8080:80:1',
    'http:80',
    '-1:80',
    '8080:80 ',
  ]) {
    it(`is refused when it is ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseForward(text),
        (error) => error instanceof FleetsieError && error.code === 'E_USAGE',
      )
    })
  }

  it('takes the next port when somebody listens on its own, and none that another forward has', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    try {
      const first = await freeForward({ host: port, guest: 22 }, [])
      assert.ok(first.host > port, `${first.host} > ${port}`)
      const second = await freeForward({ host: port, guest: 80 }, [first])
      assert.ok(second.host > first.host, `${second.host} > ${first.host}`)
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
  })
})
