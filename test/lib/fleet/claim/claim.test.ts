import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, it } from 'node:test'
import type { Answer } from '../../../../lib/fleet/claim/answer.ts'
import { ClaimFleet, hwid, loginKey, newKey } from '../../../helpers/claims.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-claim-'))
after(() => rmSync(folder, { recursive: true }))
let made = 0
const newFleet = (size: number, given: { serverKeys?: boolean } = {}): ClaimFleet =>
  new ClaimFleet(join(folder, String(made++)), size, given)
const error = (message: string): Answer => ({ kind: 'Error', message })
const registered = (device: number): Answer => error(`hardware id ${hwid(device)} already registered`)
const day = 24 * 60 * 60
const keys = Array.from({ length: 10 }, newKey)

describe('a claim', () => {
  let fleet: ClaimFleet
  beforeEach(() => {
    fleet = newFleet(3)
  })

  it('gives the device the ten lines and notes who it is', () => {
    const { answer, claimed } = fleet.claim(7, 2, keys[0])
    const lines = ['', '', 'birds-2', 'fleetsie_birds', '20002', keys[0], '', loginKey, '', '']
    assert.deepEqual(answer, { kind: 'Ok', lines })
    assert.deepEqual(claimed, {
      ...{ id: 2, idInFleet: 2, hostname: 'birds-2', port: 20_002, key: keys[0], fresh: true },
    })
    const row = fleet.db.get(
      'SELECT hwid, ts_registered, ip_provisioned_from, server_private_key FROM devices WHERE id = 2',
    )
    assert.deepEqual(row, {
      hwid: hwid(7),
      ts_registered: fleet.now,
      ip_provisioned_from: '192.0.2.7',
      server_private_key: '',
    })
  })

  const steps: {
    title: string
    /** Device, OTP, key, and seconds that pass before. */
    claims: [device: number, otp: number, key: number | undefined, later?: number][]
    answer: Answer | 'Ok' | 'the same'
  }[] = [
    { title: 'of an OTP that nobody knows: Bad', claims: [[1, 99, 0]], answer: { kind: 'Bad' } },
    {
      title: 'again by the same device with the same OTP and key: the same answer',
      claims: [
        [1, 1, 0],
        [1, 1, 0, day],
      ],
      answer: 'the same',
    },
    {
      title: 'again after a day: Error',
      claims: [
        [1, 1, 0],
        [1, 1, 0, day + 1],
      ],
      answer: registered(1),
    },
    {
      title: 'again after the clock was set back: the same answer',
      claims: [
        [1, 1, 0],
        [1, 1, 0, -10 * 365 * day],
      ],
      answer: 'the same',
    },
    {
      title: 'again with another key: Error, and the first key stays',
      claims: [
        [1, 1, 0],
        [1, 1, 1],
        [1, 1, 0],
      ],
      answer: 'the same',
    },
    {
      title: 'again with another key: Error',
      claims: [
        [1, 1, 0],
        [1, 1, 1],
      ],
      answer: registered(1),
    },
    {
      title: 'of another OTP by a registered device: Error',
      claims: [
        [1, 1, 0],
        [1, 2, 0],
      ],
      answer: registered(1),
    },
    {
      title: 'of an OTP that another device has: Try the lowest unclaimed',
      claims: [
        [1, 1, 0],
        [2, 2, 1],
        [3, 1, 2],
      ],
      answer: { kind: 'Try', id: 3 },
    },
    {
      title: 'of an OTP that another device has when all are claimed: Full',
      claims: [
        [1, 1, 0],
        [2, 2, 1],
        [3, 3, 2],
        [4, 1, 3],
      ],
      answer: { kind: 'Full' },
    },
    {
      title: 'of a taken OTP by a registered device: Error before anything else',
      claims: [
        [1, 1, 0],
        [2, 2, 1],
        [1, 2, 0],
      ],
      answer: registered(1),
    },
    {
      title: 'without a key in a fleet whose server makes none: Error with the reason',
      claims: [[1, 1, undefined]],
      answer: error('this fleet takes only devices that make their own keys (fleetsie 2)'),
    },
  ]
  for (const { title, claims, answer } of steps) {
    it(title, () => {
      const answers = claims.map(([device, otp, key, later = 0]) => {
        fleet.now += later
        return fleet.claim(device, otp, key === undefined ? undefined : keys[key]).answer
      })
      if (answer === 'the same') assert.deepEqual(answers.at(-1), answers[0])
      else assert.deepEqual(answers.at(-1), answer)
    })
  }

  it('of a revoked device is an Error, and Bad to others, as if its OTP had never been', () => {
    fleet.claim(1, 1, keys[0])
    fleet.db.run(`UPDATE devices SET hwid = 'revoked:1:' || hwid, tunnel_port = -id WHERE id = 1`)
    const refused = error('this device was revoked')
    assert.deepEqual(fleet.claim(1, 1, keys[0]).answer, refused)
    assert.deepEqual(fleet.claim(2, 1, keys[1]).answer, { kind: 'Bad' })
    // With the OTP of another device it stays out as well.
    assert.deepEqual(fleet.claim(1, 2, keys[0]).answer, refused)
    assert.equal(fleet.claim(2, 2, keys[1]).answer.kind, 'Ok')
  })

  it('gives what the older tool keeps for devices and fleets', () => {
    fleet.db.exec(`ALTER TABLE devices ADD COLUMN user_pwd VARCHAR; ALTER TABLE devices ADD COLUMN root_pwd VARCHAR;
      ALTER TABLE devices ADD COLUMN zabbix_psk VARCHAR;
      CREATE TABLE zabbix_fleet_psk(fleet VARCHAR UNIQUE PRIMARY KEY, zabbix_psk VARCHAR);
      CREATE TABLE fleet_extra(fleet VARCHAR UNIQUE PRIMARY KEY, extra VARCHAR);
      UPDATE devices SET user_pwd = 'tweet', root_pwd = 'sing', zabbix_psk = 'aa' WHERE id = 1;
      INSERT INTO zabbix_fleet_psk VALUES ('birds', 'bb'); INSERT INTO fleet_extra VALUES ('birds', 'x=1');`)
    const lines = (device: number): readonly string[] => {
      const { answer } = fleet.claim(device, device, keys[device])
      return answer.kind === 'Ok' ? answer.lines : []
    }
    const [user, root, , , , , , , psk, extra] = lines(1)
    assert.deepEqual([user, root, psk, extra], ['tweet', 'sing', 'aa', 'x=1'])
    assert.deepEqual(lines(2).slice(8), ['bb', 'x=1'])
  })

  for (const comment of ['', ' birds-2']) {
    it(`cannot be made with the key of another device${comment && ' that has a comment'}`, () => {
      fleet.claim(2, 2, keys[0])
      fleet.db.run('UPDATE devices SET server_public_key = ? WHERE id = 2', `${keys[0]}${comment}`)
      assert.deepEqual(
        fleet.claim(1, 1, keys[0]).answer,
        error('the key of another device cannot be the key of this one'),
      )
      assert.equal(fleet.claim(1, 1, keys[1]).answer.kind, 'Ok')
    })
  }

  it('cannot be made with the key of a disk', () => {
    fleet.lot('0123456789abcdef', [1], keys[0])
    assert.deepEqual(
      fleet.claim(1, 1, keys[0]).answer,
      error('the key of a disk cannot be the key of a device'),
    )
  })
})

describe('a lot', () => {
  const lot = '0123456789abcdef'
  const cases: {
    title: string
    set: (fleet: ClaimFleet) => void
    otp: number
    answer: Answer['kind'] | Answer
  }[] = [
    { title: 'claims its own devices', set: () => {}, otp: 2, answer: 'Ok' },
    { title: 'does not know the devices of another', set: () => {}, otp: 3, answer: { kind: 'Bad' } },
    {
      title: 'is told to try its own devices only',
      set: (fleet) => fleet.claim(5, 2, keys[5]),
      otp: 2,
      answer: { kind: 'Try', id: 4 },
    },
    {
      title: 'is full when its own devices are claimed',
      set: (fleet) => [2, 4].map((id) => fleet.claim(id, id, keys[id])),
      otp: 2,
      answer: { kind: 'Full' },
    },
    {
      title: 'claims nothing once it is revoked',
      set: (fleet) => fleet.db.run('UPDATE lots SET ts_revoked = 5'),
      otp: 2,
      answer: error('this disk was revoked'),
    },
    {
      title: 'claims until it expires',
      set: (fleet) => fleet.db.run('UPDATE lots SET ts_expires = ?', fleet.now + 1),
      otp: 2,
      answer: 'Ok',
    },
    {
      title: 'claims nothing once it has expired',
      set: (fleet) => fleet.db.run('UPDATE lots SET ts_expires = ?', fleet.now),
      otp: 2,
      answer: error('this disk has expired'),
    },
    {
      title: 'of another fleet is unknown',
      set: (fleet) => fleet.db.run(`UPDATE lots SET fleet = 'bees'`),
      otp: 2,
      answer: error('this disk is not known here'),
    },
  ]
  for (const { title, set, otp, answer } of cases) {
    it(title, () => {
      const fleet = newFleet(4)
      fleet.lot(lot, [2, 4])
      set(fleet)
      const got = fleet.claim(9, otp, keys[9], lot).answer
      if (typeof answer === 'string') assert.equal(got.kind, answer)
      else assert.deepEqual(got, answer)
    })
  }
})

describe('a key that the server makes', () => {
  const privateLine = (answer: Answer): string => (answer.kind === 'Ok' ? answer.lines[6]! : answer.kind)

  it('is sealed, and given again to who has the OTP', () => {
    const fleet = newFleet(2, { serverKeys: true })
    const first = fleet.claim(1, 1, undefined).answer
    assert.match(privateLine(first), /^-----BEGIN OPENSSH PRIVATE KEY-----\n/)
    const kept = fleet.db.get<{ kept: string }>('SELECT server_private_key AS kept FROM devices WHERE id = 1')
    assert.match(kept?.kept ?? '', /^sealed:v1:[\w-]{16}:[\w-]+$/)
    assert.deepEqual(fleet.claim(1, 1, undefined).answer, first)
  })

  it('is not given again once it is blanked, nor for a row that it was not sealed for', () => {
    const fleet = newFleet(2, { serverKeys: true })
    fleet.claim(1, 1, undefined)
    fleet.db.run(`UPDATE devices SET hostname = 'birds-9' WHERE id = 1`)
    assert.deepEqual(fleet.claim(1, 1, undefined).answer, registered(1))
    fleet.db.run(`UPDATE devices SET hostname = 'birds-1', server_private_key = '' WHERE id = 1`)
    assert.deepEqual(fleet.claim(1, 1, undefined).answer, registered(1))
  })

  it('is not given to a device that made its own', () => {
    const fleet = newFleet(2, { serverKeys: true })
    fleet.claim(1, 1, keys[0])
    assert.deepEqual(fleet.claim(1, 1, undefined).answer, registered(1))
    fleet.claim(2, 2, undefined)
    assert.deepEqual(fleet.claim(2, 2, keys[2]).answer, registered(2))
  })
})

describe('crowds', () => {
  it('of a thousand racers on one OTP have one winner', () => {
    const fleet = newFleet(2)
    const kinds = Array.from({ length: 1000 }, (_, n) => fleet.claim(n + 1, 1, keys[n % 10]).answer.kind)
    assert.deepEqual(kinds, ['Ok', ...Array.from({ length: 999 }, () => 'Try')])
  })

  const devices = 100
  /** All ask in turn; who is told Try chooses as `choose` says, of what it has left. */
  const converge = (choose: (left: number[], offered: number) => number): number => {
    const fleet = newFleet(devices)
    fleet.db.pragma('synchronous = OFF')
    const own = Array.from({ length: devices }, newKey)
    const left = Array.from({ length: devices }, () => Array.from({ length: devices }, (_, i) => i + 1))
    const next = left.map(() => 1)
    let waiting = left.map((_, device) => device)
    let logins = 0
    while (waiting.length > 0) {
      waiting = waiting.filter((device) => {
        logins += 1
        const asked = next[device]!
        const { answer } = fleet.claim(device + 1, asked, own[device])
        if (answer.kind === 'Ok') return false
        assert.equal(answer.kind, 'Try')
        const offered = answer.kind === 'Try' ? answer.id : 0
        left[device] = left[device]!.filter((id) => id >= offered && id !== asked)
        next[device] = choose(left[device], offered)
        return true
      })
    }
    const holders = fleet.db.get<{ n: number }>('SELECT count(DISTINCT hwid) AS n FROM devices')
    assert.equal(holders?.n, devices)
    return logins
  }

  it('with copies of one disk all finish, as the documented client chooses', () => {
    assert.ok(converge((_, offered) => offered) <= (devices * (devices + 1)) / 2)
  })

  it('with copies of one disk all finish sooner, as our devices choose', () => {
    const logins = converge((left) => left[Math.floor(Math.random() * left.length)]!)
    assert.ok(logins < devices * 20, `${logins} logins`)
  })
})
