/**
 * What goes between fleetsie_gen_srv and the process that opens a fleet's databases as the fleet's user: one JSON value a
 * line. Whoever has taken over that user says there what he likes: an answer is taken for no more than it is.
 */
import * as v from 'valibot'
import { type ErrorCode, errorCodes } from '../../errors.ts'
import type { Begun, FleetContents } from '../registry/fleet-files.ts'
import { checkRows } from '../registry/fleet-rows.ts'
import type { Wanted } from '../registry/sync.ts'
import { lotName } from './protocol.ts'

export type FilesRequest =
  | { do: 'read' | 'begin' }
  | { do: 'provision'; otps: [number, string][]; anew: boolean }
  | { do: 'finish'; wanted: Wanted; now: number }

const text = v.pipe(v.string(), v.maxLength(10_000))
const short = v.pipe(v.string(), v.maxLength(500))
const number = v.pipe(v.number(), v.finite())
const id = v.pipe(v.number(), v.safeInteger())
const row = v.object({
  id: number,
  fleet: short,
  id_in_fleet: number,
  fleetuser: short,
  hostname: short,
  hwid: v.nullable(short),
  otp: short,
  ts_generated: number,
  ts_registered: v.nullable(number),
  tunnel_port: number,
  device_public_key: text,
  device_private_key: text,
  server_public_key: text,
  server_private_key: text,
  ip_provisioned_from: v.nullable(short),
})
const clear = v.object({ fleet: short, id_in_fleet: id, otp: text })
const begun = v.object({
  rows: v.array(row),
  otps: v.nullable(v.array(v.tuple([id, short]))),
  made: v.boolean(),
  clear: v.array(clear),
})
const contents = v.nullable(
  v.object({ login_key: text, rows: v.array(row), lots: v.array(v.tuple([id, lotName])) }),
)
const done = v.null()
const failed = v.object({
  error: v.object({
    code: v.picklist(Object.keys(errorCodes) as ErrorCode[]),
    message: text,
    hint: v.optional(text),
    file: v.optional(text),
  }),
})

/** A whole answer: the value, or why there is none. */
export const filesAnswers = {
  read: v.union([failed, v.object({ value: contents })]),
  begin: v.union([failed, v.object({ value: begun })]),
  provision: v.union([failed, v.object({ value: done })]),
  finish: v.union([failed, v.object({ value: done })]),
} as const

export const beginValue = ({ rows, otps, made, clear }: Begun): v.InferOutput<typeof begun> => ({
  rows: [...rows.values()],
  otps: otps === undefined ? null : [...otps],
  made,
  clear,
})

export const begunOf = (value: v.InferOutput<typeof begun>, fleet: string, file: string): Begun => ({
  ...value,
  rows: checkRows(value.rows, fleet, file),
  otps: value.otps === null ? undefined : new Map(value.otps),
})

export const readValue = (read: FleetContents | undefined): v.InferOutput<typeof contents> =>
  read === undefined ? null : { ...read, rows: [...read.rows.values()], lots: [...read.lots] }

export const contentsOf = (
  value: v.InferOutput<typeof contents>,
  fleet: string,
  file: string,
): FleetContents | undefined =>
  value === null
    ? undefined
    : { ...value, rows: checkRows(value.rows, fleet, file), lots: new Map(value.lots) }
