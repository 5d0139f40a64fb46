/** What the manager's machine asks fleetsie_gen_srv and what it answers: one JSON object each. */
import * as v from 'valibot'
import { type ErrorCode, errorCodes } from '../../errors.ts'
import {
  fleetPattern,
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

export const fleetName = limited(fleetPattern, 'is no name of a fleet ([A-Za-z0-9_], at most 23)')
export const lotName = limited(lotPattern, 'is no name of a lot (16 hexadecimal digits)')
export const publicKey = limited(publicKeyPattern, 'is no public key (ssh-ed25519 AAAA… without a comment)')
export const deviceNumber = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(999_999_999))
/** Unix seconds, until the year 5138. */
export const unixSeconds = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(99_999_999_999))
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
})
export type GenReply = v.InferOutput<typeof genReply>

/** Everything that fleetsie_gen_srv can be asked. */
export const anyRequest = v.variant('do', [genRequest])
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
