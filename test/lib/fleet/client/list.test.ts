/** Whom a list of devices is believed of: a fake server says it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { listDevices } from '../../../../lib/fleet/client/list.ts'
import type { Host } from '../../../../lib/hosts/ssh/types.ts'

const { signal } = new AbortController()

function device(fleet: string, id: number): object {
  return {
    ...{ fleet, id_in_fleet: id, hostname: `${fleet}-${id}`, state: 'claimed', tunnel_port: 20_000 + id },
    ...{ hwid: '02:00:00:00:00:01', lot: null, generated: 1, claimed: 2, revoked: null, claimed_from: null },
    ...{ online: null, user: null, seen: null },
  }
}

function answering(fleets: readonly string[], devices: readonly object[]): Host {
  const reply = { fleets: fleets.map((fleet) => ({ fleet, login_key: 'a line' })), devices }
  const run = async () => ({ code: 0, stdout: Buffer.from(JSON.stringify(reply)), stderr: '' })
  return { name: 'fleetsie@server', host: 'server', run } as unknown as Host
}

describe('a list of devices', () => {
  test('has the devices of the fleet, and the key that lets operators in', async () => {
    const host = answering(['barn'], [device('barn', 1), device('barn', 2)])
    const { devices, loginKey } = await listDevices(host, 'barn', { signal })
    assert.deepEqual([devices.map(({ hostname }) => hostname), loginKey], [['barn-1', 'barn-2'], 'a line'])
  })

  test('says which device there is not', async () => {
    const asked = listDevices(answering(['barn'], []), 'barn', { signal, device: 9 })
    await assert.rejects(asked, { code: 'E_INPUT', message: 'there is no device barn-9' })
  })

  const wrong: [title: string, host: Host][] = [
    ['another device', answering(['barn'], [device('barn', 2)])],
    ['another device beside the one', answering(['barn'], [device('barn', 1), device('barn', 2)])],
    ['the device of another fleet', answering(['barn'], [device('cows', 1)])],
    ['another fleet', answering(['cows'], [device('barn', 1)])],
    ['no fleet', answering([], [device('barn', 1)])],
  ]
  for (const [title, host] of wrong) {
    test(`is not believed that tells of ${title}`, async () => {
      await assert.rejects(listDevices(host, 'barn', { signal, device: 1 }), {
        code: 'E_STAGE',
        message: /other devices than it was asked for/,
      })
    })
  }
})
