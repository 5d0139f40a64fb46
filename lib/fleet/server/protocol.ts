/** What the manager's machine asks fleetsie_gen_srv and what it answers: one JSON object each. */
import { isIP } from 'node:net'
import * as v from 'valibot'
import { type ErrorCode, errorCodes } from '../../errors.ts'
import {
  fleetPattern,
  hostname,
  hwidPattern,
  loginKeyPattern,
  lotPattern,
  maxDevices,
  otpPattern,
  publicKeyPattern,
} from '../names.ts'

/** Bytes of one request. */
export const maxRequest = 4 * 1024 * 1024

const limited = <const E extends RegExp>(pattern: E, message: string) =>
  v.pipe(v.string(message), v.regex(pattern, message))

const fleetName = limited(fleetPattern, 'is no name of a fleet ([A-Za-z0-9_], at most 23)')
export const lotName = limited(lotPattern, 'is no name of a lot (16 hexadecimal digits)')
export const publicKey = limited(publicKeyPattern, 'is no public key (ssh-ed25519 AAAA… without a comment)')
const deviceNumber = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(999_999_999))
/** Unix seconds, until the year 5138. */
const unixSeconds = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(99_999_999_999))
/** The same with a fraction. */
const time = v.pipe(v.number(), v.minValue(0), v.maxValue(99_999_999_999))
const deviceNumbers = v.pipe(v.array(deviceNumber), v.maxLength(100_000))

export const genRequest = v.strictObject({
  do: v.literal('gen'),
  fleet: fleetName,
  /** How many devices to allocate. */
  num: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(maxDevices)),
  /** The same id again gets the same answer, and nothing is allocated. */
  request: v.pipe(v.string(), v.uuid()),
  /** The authorized_keys line by which operators will log in to the devices; the first one given stays. */
  loginKey: v.optional(limited(loginKeyPattern, 'is no login key (cert-authority,principals="fleetsie" …)')),
  /** Whether clients of the two-line form get keys that the server makes. Stays as it is when not given. */
  serverKeys: v.optional(v.boolean()),
  disk: v.optional(
    v.strictObject({
      lot: lotName,
      key: publicKey,
      expires: v.nullable(unixSeconds),
      /** What the disk's claimed.txt lists. */
      claimed: deviceNumbers,
      /** What the disk's list of devices has. */
      has: deviceNumbers,
    }),
  ),
})
export type GenRequest = v.InferOutput<typeof genRequest>

export const genReply = v.object({
  fleet: v.string(),
  fleetuser: v.string(),
  generated: v.array(
    v.object({
      id_in_fleet: deviceNumber,
      hostname: v.string(),
      tunnel_port: v.pipe(v.number(), v.integer()),
    }),
  ),
  /** How many devices of the fleet nobody has claimed. */
  unclaimed: v.pipe(v.number(), v.integer(), v.minValue(0)),
  /** Everything that the disk is to hold. */
  disk: v.optional(
    v.object({
      devices: v.array(v.object({ id_in_fleet: deviceNumber, otp: v.pipe(v.string(), v.regex(otpPattern)) })),
    }),
  ),
  /** What the manager should know, one sentence each. */
  warnings: v.array(v.string()),
  /** The server's clock, by which disks expire; unix seconds. Servers of earlier versions do not tell it. */
  now: v.optional(time),
})
export type GenReply = v.InferOutput<typeof genReply>

const listRequest = v.strictObject({
  do: v.literal('list'),
  fleet: fleetName,
  /** Only this device. */
  device: v.optional(deviceNumber),
})
export type ListRequest = v.InferOutput<typeof listRequest>

const address = v.pipe(
  v.string(),
  v.check((text) => isIP(text) !== 0, 'is no address'),
)
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))

// A server that is not what it was says anything: all of this ends in arguments of ssh, in ssh_config and on terminals.
const listedFields = v.object({
  fleet: fleetName,
  id_in_fleet: deviceNumber,
  hostname: v.string(),
  state: v.picklist(['unclaimed', 'claimed', 'online', 'revoked']),
  /** Null once it is revoked: then the port is another's. */
  tunnel_port: v.nullable(port),
  hwid: v.nullable(v.pipe(v.string(), v.toLowerCase(), v.regex(hwidPattern))),
  /** The disk whose list had it last. */
  lot: v.nullable(lotName),
  /** Unix seconds. */
  generated: time,
  claimed: v.nullable(time),
  revoked: v.nullable(time),
  /** Where it claimed from. */
  claimed_from: v.nullable(address),
  /** While it is connected: since when (unix seconds) and from where. */
  online: v.nullable(v.object({ since: v.nullable(time), from: v.nullable(address) })),
  /** Which account of its own operators log in to, as it said when it was last connected. */
  user: v.nullable(v.pipe(v.string(), v.regex(/^[a-z_][a-z0-9_-]{0,31}$/))),
  /** When its tunnel was last seen to end; null when nothing is known. */
  seen: v.nullable(time),
})
const listedDevice = v.pipe(
  listedFields,
  v.check((device) => device.hostname === hostname(device.fleet, device.id_in_fleet), 'is called otherwise'),
)
export type ListedDevice = v.InferOutput<typeof listedDevice>

const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const listedDisk = v.object({
  lot: lotName,
  /** Unix seconds; `expires` null: it claims until it is revoked. */
  generated: time,
  expires: v.nullable(time),
  revoked: v.nullable(time),
  /** How many it was given, and how many of them nobody has claimed. */
  devices: count,
  unclaimed: count,
})
export type ListedDisk = v.InferOutput<typeof listedDisk>

export const listReply = v.object({
  fleets: v.array(
    v.object({
      fleet: fleetName,
      /** The line by which operators log in to its devices. */
      login_key: v.nullable(v.string()),
      /** The disks that sent many wrong passwords: how many, and when the last (unix seconds). */
      guesses: v.optional(
        v.array(
          v.object({ lot: lotName, wrong: v.pipe(v.number(), v.integer(), v.minValue(1)), last: time }),
        ),
        [],
      ),
      /** The disks of the fleet, the oldest first; none where one device was asked for. */
      disks: v.optional(v.array(listedDisk), []),
    }),
  ),
  devices: v.array(listedDevice),
})
export type ListReply = v.InferOutput<typeof listReply>

/** One device, one disk's lot, or without either the whole fleet. */
const revokeRequest = v.strictObject({
  do: v.literal('revoke'),
  fleet: fleetName,
  device: v.optional(deviceNumber),
  lot: v.optional(lotName),
  /** With `device`: its hardware may claim another place, by another OTP. */
  readmit: v.optional(v.boolean()),
})
export type RevokeRequest = v.InferOutput<typeof revokeRequest>

export const revokeReply = v.object({
  /** What was revoked now: host names of devices, and names of lots. */
  devices: v.array(v.string()),
  lots: v.array(v.string()),
  /** How many of them had been revoked before. */
  already: v.number(),
  /** What the manager should know, one sentence each. */
  warnings: v.array(v.string()),
})
export type RevokeReply = v.InferOutput<typeof revokeReply>

/** A new key of a claimed device: accepted beside the old one, then alone; or forgotten. */
const rotateRequest = v.strictObject({
  do: v.literal('rotate'),
  fleet: fleetName,
  device: deviceNumber,
  step: v.picklist(['add', 'finish', 'cancel']),
  key: publicKey,
})
export type RotateRequest = v.InferOutput<typeof rotateRequest>

export const rotateReply = v.object({
  hostname: v.string(),
  /** How many keys of the device are accepted now. */
  keys: v.number(),
})
export type RotateReply = v.InferOutput<typeof rotateReply>

/** A Main database is there, empty where none was. `srv` asks for it on the server itself. */
const setupRequest = v.strictObject({ do: v.literal('setup') })

export interface SetupReply {
  /** Of the databases that this program makes. */
  version: number
}

/** Everything that fleetsie_gen_srv can be asked. */
export const anyRequest = v.variant('do', [
  genRequest,
  listRequest,
  revokeRequest,
  rotateRequest,
  setupRequest,
])
export type AnyRequest = v.InferOutput<typeof anyRequest>

/** Instead of an answer; the exit code is that of the error code. */
export const errorReply = v.object({
  error: v.object({
    code: v.picklist(Object.keys(errorCodes) as ErrorCode[]),
    message: v.string(),
    hint: v.optional(v.string()),
  }),
})
export type ErrorReply = v.InferOutput<typeof errorReply>
