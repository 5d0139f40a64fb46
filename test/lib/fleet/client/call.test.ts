import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as v from 'valibot'
import { BrokenOff, callServer } from '../../../../lib/fleet/client/call.ts'
import type { Host } from '../../../../lib/hosts/ssh/types.ts'

const reply = v.object({ number: v.number() })

function answering(code: number, stdout: string, stderr = ''): Host {
  const run: Host['run'] = async () => ({ code, stdout: Buffer.from(stdout), stderr })
  return { name: 'fleetsie@server', host: 'server', run } as unknown as Host
}
const call = (...said: Parameters<typeof answering>) => callServer(answering(...said), { do: 'list' }, reply)

describe("the server's program", () => {
  test('gets the request as JSON on stdin, and answers with its last line', async () => {
    let given: unknown
    const run: Host['run'] = async (argv, how) => {
      given = [argv, JSON.parse(String(how?.stdin))]
      return { code: 0, stdout: Buffer.from('Welcome!\n{"number":7}\n'), stderr: '' }
    }
    const host = { name: 'server', run } as unknown as Host
    assert.deepEqual(await callServer(host, { do: 'list' }, reply), { number: 7 })
    assert.deepEqual(given, [['/home/fleetsie/fleetsie_gen_srv'], { do: 'list' }])
  })

  const told = JSON.stringify({ error: { code: 'E_INPUT', message: 'no ports', hint: 'fewer' } })
  const failures: [string, Parameters<typeof answering>, object][] = [
    ['tells its failure', [1, `${told}\n`], { code: 'E_INPUT', message: 'no ports', hint: 'fewer' }],
    ['is a newer one', [9, '{"error":{"code":"E_NEW","message":"x"}}'], { code: 'E_STAGE', message: 'x' }],
    ['is missing', [127, '', 'sh: not found'], { code: 'E_UNSUPPORTED' }],
    [
      'tells what steers a terminal',
      [4, JSON.stringify({ error: { code: 'E_STAGE', message: 'a\u001b[2J\nb', hint: 'ö\u202e' } })],
      { code: 'E_STAGE', message: 'a\\u{1b}[2J\nb', hint: 'ö\\u{202e}' },
    ],
    [
      'answers in another form',
      [0, '{"number":"7"}'],
      { code: 'E_STAGE', message: /number: expected number/ },
    ],
  ]
  for (const [what, said, expected] of failures) {
    test(`that ${what}`, async () => {
      await assert.rejects(call(...said), expected)
      await assert.rejects(call(...said), (error) => !(error instanceof BrokenOff))
    })
  }

  const broken: [string, Parameters<typeof answering>][] = [
    ['was killed', [137, '', 'Killed']],
    ['said half of its answer', [0, '{"num']],
    ['said nothing', [0, '']],
  ]
  for (const [what, said] of broken) {
    test(`that ${what} has broken off: it may be asked again`, () => assert.rejects(call(...said), BrokenOff))
  }
})
