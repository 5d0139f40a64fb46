/** Random calls, claims, revocations, crashes and time, beside a small model of what has to come of them. */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { steps } from '../../lib/fleet/registry/server.ts'
import type { GenReply, GenRequest } from '../../lib/fleet/server/protocol.ts'
import { gen } from '../../lib/fleet/server/requests/gen.ts'
import { revoke } from '../../lib/fleet/server/requests/revoke.ts'
import { hwid } from '../helpers/claims.ts'
import { needs } from '../helpers/needs.ts'
import { Random } from '../helpers/random.ts'
import { disk, genRequest, lotName, RegistryServer } from '../helpers/registry.ts'

interface Lot {
  n: number
  expires: number | null
  revoked: boolean
  /** What the disk holds: id → OTP, as `gen` gave it last. */
  holds: Map<number, string>
}

type State = 'unclaimed' | 'revoked' | number

class Model {
  /** id → which device has it. */
  readonly devices = new Map<number, State>()
  readonly lots: Lot[] = []
  /** The OTPs that are good, of unclaimed devices. */
  otps = new Map<number, string>()

  unclaimed(): number[] {
    return [...this.devices].filter(([, state]) => state === 'unclaimed').map(([id]) => id)
  }

  isLive(lot: Lot, now: number): boolean {
    return !lot.revoked && (lot.expires === null || lot.expires > now)
  }

  /** What `gen` has to put on the disk. */
  wanted(lot: Lot, request: GenRequest, now: number): number[] {
    const others = this.lots.filter((other) => other !== lot && this.isLive(other, now))
    const made = [...this.devices.keys()].slice(this.devices.size - request.num)
    return this.unclaimed().filter(
      (id) =>
        request.num === 0 ||
        made.includes(id) ||
        lot.holds.has(id) ||
        !others.some((other) => other.holds.has(id)),
    )
  }

  /** What a device gets to hear that asks with what it found on a disk. */
  answer(device: number, lot: Lot, id: number, otp: string, now: number): RegExp {
    if (!this.isLive(lot, now)) return /^Error\nthis disk (was revoked|has expired)\n$/
    const state = this.devices.get(id)
    if (state === 'revoked' || (state === 'unclaimed' && this.otps.get(id) !== otp)) return /^Bad\n$/
    if (typeof state === 'number' && this.claimedWith.get(id) !== otp) return /^Bad\n$/
    if (state === device || this.everClaimed(device)) return /^Error\nhardware id \S+ already registered\n$/
    if (state === 'unclaimed') return /^Ok\n/
    return /^(Try\n\d+|Full)\n$/
  }

  readonly claimedWith = new Map<number, string>()

  everClaimed(device: number): boolean {
    return [...this.devices.values()].includes(device)
  }
}

const length = 60

for (const seed of ['first', 'second', 'third']) {
  test(`the registry does as the model (${seed})`, { skip: needs('sqlite3') }, async () => {
    const random = new Random(seed)
    const model = new Model()
    const folders: string[] = []
    let server = new RegistryServer()
    folders.push(server.folder)

    /** Makes the call; sometimes the power fails in it, and it is made again on what was on the disk then. */
    const call = async (request: GenRequest): Promise<GenReply> => {
      if (!random.chance(0.4)) return gen(server, request)
      const step = random.pick(steps)
      const copy = mkdtempSync(join(tmpdir(), 'fleetsie-registry-'))
      folders.push(copy)
      server.reached = (at) => {
        if (at === step)
          cpSync(server.folder, copy, { recursive: true, filter: (name) => !name.endsWith('-shm') })
      }
      await gen(server, request)
      const { time } = server
      server = new RegistryServer(copy)
      server.time = time
      return gen(server, request)
    }

    const generate = async (): Promise<void> => {
      const num = random.int(0, 3)
      const lot = random.chance(0.6) ? (random.pick([...model.lots, undefined]) ?? newLot()) : undefined
      if (lot?.revoked) return
      const expires = random.chance(0.3) ? server.time + random.int(1, 500) : null
      const wish = lot && disk(lot.n, { expires, has: [...lot.holds.keys()] })
      const request = genRequest({ num, ...(wish && { disk: wish }), serverKeys: false })
      const before = new Map(model.otps)
      const reply = await call(request)
      const highest = model.devices.size
      for (let i = 1; i <= num; i += 1) model.devices.set(highest + i, 'unclaimed')
      assert.deepEqual(
        reply.generated.map((row) => row.id_in_fleet),
        [...model.devices.keys()].slice(highest),
      )
      assert.equal(reply.unclaimed, model.unclaimed().length)
      const now = server.otps()
      if (lot) {
        lot.expires = expires
        const wanted = model.wanted(lot, request, server.time)
        const given = new Map(reply.disk!.devices.map((row) => [row.id_in_fleet, row.otp]))
        assert.deepEqual([...given.keys()], wanted)
        for (const [id, otp] of given) assert.equal(otp, now.get(id))
        lot.holds = given
      }
      // A password that a device may find on a live disk stays.
      for (const [id, otp] of before) {
        const held = model.lots.some(
          (other) => model.isLive(other, server.time) && other.holds.get(id) === otp,
        )
        if (held && model.devices.get(id) === 'unclaimed') assert.equal(now.get(id), otp, `device ${id}`)
      }
      model.otps = now
      check()
    }

    const newLot = (): Lot => {
      const lot: Lot = { n: model.lots.length + 1, expires: null, revoked: false, holds: new Map() }
      model.lots.push(lot)
      return lot
    }

    const claim = async (): Promise<void> => {
      const lot = model.lots.length > 0 ? random.pick(model.lots) : undefined
      if (!lot || lot.holds.size === 0) return
      const [id, otp] = random.pick([...lot.holds])
      const device = random.int(1, 40)
      const expected = model.answer(device, lot, id, otp, server.time)
      const answer = server.claim(device, otp, { lot: lotName(lot.n) })
      assert.match(answer, expected, `device ${device} for ${id} on disk ${lot.n}`)
      if (!answer.startsWith('Ok\n')) return
      model.devices.set(id, device)
      model.claimedWith.set(id, otp)
      model.otps.delete(id)
    }

    const revokeSome = async (): Promise<void> => {
      if (random.chance(0.5) && model.devices.size > 0) {
        const device = random.pick([...model.devices.keys()])
        await revoke(server, { do: 'revoke', fleet: 'birds', device })
        model.devices.set(device, 'revoked')
      } else if (model.lots.some((lot) => lot.holds.size > 0)) {
        const lot = random.pick(model.lots.filter(({ holds }) => holds.size > 0))
        await revoke(server, { do: 'revoke', fleet: 'birds', lot: lotName(lot.n) })
        lot.revoked = true
      } else return
      model.otps = server.otps()
      check()
    }

    const check = (): void => {
      assert.deepEqual(server.faults(), [])
      const rows = server.rows('main')
      const states = rows.map(({ id_in_fleet: id, hwid: known }) => [
        id,
        known === null ? 'unclaimed' : known.startsWith('revoked:') ? 'revoked' : known,
      ])
      const expected = [...model.devices].map(([id, state]) => [
        id,
        typeof state === 'number' ? hwid(state) : state,
      ])
      assert.deepEqual(states, expected)
      const ports = rows.filter((row) => row.tunnel_port > 0).map((row) => row.tunnel_port)
      assert.equal(new Set(ports).size, ports.length)
      const live = model.lots.filter((lot) => lot.holds.size > 0 && model.isLive(lot, server.time))
      for (const { n } of live)
        assert.ok(
          server.keys().some((line) => line.includes(`birds ${lotName(n)}"`)),
          `disk ${n}`,
        )
      for (const lot of model.lots.filter((known) => !model.isLive(known, server.time))) {
        assert.ok(
          !server.keys().some((line) => line.includes(`birds ${lotName(lot.n)}"`)),
          `disk ${lot.n} is dead`,
        )
      }
    }

    try {
      await generate()
      for (let turn = 0; turn < length; turn += 1) {
        const chance = random.int(1, 100)
        if (chance <= 40) await generate()
        else if (chance <= 80) await claim()
        else if (chance <= 90) await revokeSome()
        else server.time += random.int(1, 300)
      }
    } finally {
      for (const folder of folders) rmSync(folder, { recursive: true, force: true })
    }
  })
}
