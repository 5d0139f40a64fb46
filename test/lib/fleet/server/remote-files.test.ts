/** What the process that opens a fleet's databases may say, if somebody has taken over the fleet's user. */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { describe, it } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import { RemoteFleetFiles } from '../../../../lib/fleet/server/remote-files.ts'

const file = '/home/fleetsie/fleets/birds/fleet.sqlite'
const row = {
  ...{ id: 1, fleet: 'birds', id_in_fleet: 1, fleetuser: 'fleetsie_birds', hostname: 'birds-1', hwid: null },
  ...{ otp: `sha256:${'0'.repeat(64)}`, ts_generated: 1, ts_registered: null, tunnel_port: 20001 },
  ...{ device_public_key: '', device_private_key: '', server_public_key: '', server_private_key: '' },
  ip_provisioned_from: null,
}
const begun = { rows: [row], otps: null, made: false, clear: [] }

/** A process that runs `script`. */
function files(script: string): RemoteFleetFiles {
  const run = runner({ home: tmpdir() })
  return new RemoteFleetFiles(run, [process.execPath, '-e', script], 'birds', file)
}
/** One that answers each line with `text`. */
const answering = (text: string): string =>
  `process.stdin.on('data', () => process.stdout.write(${JSON.stringify(`${text}\n`)}))`
const value = (more: object): string => answering(JSON.stringify({ value: { ...begun, ...more } }))

describe('the databases of a fleet', () => {
  it('are read from a process, which ends with the call', async () => {
    const remote = files(value({ otps: [[1, 'f'.repeat(256)]] }))
    const { rows, otps, made } = await remote.begin()
    assert.deepEqual([rows.get(1)?.hostname, otps?.get(1), made], ['birds-1', 'f'.repeat(256), false])
    await remote.close()
  })

  const lies: [title: string, script: string, expected: object][] = [
    ['nothing', '', { code: 'E_IO', message: /gave no answer/ }],
    ['an end with an error', 'process.exit(3)', { code: 'E_STAGE' }],
    ['no JSON', answering('rubbish'), { code: 'E_IO', message: /an answer that is none/ }],
    ['an answer to another question', answering('{"value":null}'), { code: 'E_IO' }],
    ['no list', value({ rows: 7 }), { code: 'E_IO' }],
    ['a row with a list in it', value({ rows: [{ ...row, hwid: ['x'] }] }), { code: 'E_IO' }],
    ['a row without a column', value({ rows: [{ id: 1 }] }), { code: 'E_IO' }],
    [
      'a column that is too long',
      value({ rows: [{ ...row, hostname: 'x'.repeat(20_000) }] }),
      { code: 'E_IO' },
    ],
    ['a hardware id that is none', value({ rows: [{ ...row, hwid: '$(id)' }] }), { code: 'E_DAMAGED' }],
    ['a device of another fleet', value({ rows: [{ ...row, fleet: 'fish' }] }), { code: 'E_DAMAGED' }],
    ['an unknown error', answering('{"error":{"code":"E_NONE","message":"x"}}'), { code: 'E_IO' }],
    [
      'an error that steers a terminal',
      answering(JSON.stringify({ error: { code: 'E_IO', message: 'a\u001b[2Jb', hint: 'c\u202ed' } })),
      { code: 'E_IO', message: 'a?[2Jb', hint: 'c?d' },
    ],
    [
      'an endless answer',
      "setInterval(() => process.stdout.write('x'.repeat(1 << 20)), 0)",
      { code: 'E_IO', message: /an endless answer/ },
    ],
  ]
  it('are not taken where they name a disk as none is', async () => {
    const remote = files(answering('{"value":{"login_key":"","rows":[],"lots":[[1,"birds"]]}}'))
    await assert.rejects(remote.read(), { code: 'E_IO', message: /an answer that is none/ })
    await remote.close()
  })

  for (const [title, script, expected] of lies) {
    it(`are not taken from a process that says ${title}`, async () => {
      const remote = files(script)
      await assert.rejects(remote.begin(), expected)
      await remote.close()
    })
  }
})
