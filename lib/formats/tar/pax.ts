/**
 * pax records on bytes: an extended attribute's value is binary, so nothing here is text but the keys.
 * Source: POSIX.1-2017, pax, "pax Extended Header".
 */
import { FleetsieError } from '../../errors.ts'
import type { LayerTime } from '../layer/entry.ts'
import { utf8 } from './text.ts'

export type PaxRecords = Map<string, Buffer>

/** Reads `LENGTH KEY=VALUE\n` records. The last of several with one key counts. E_DAMAGED. */
export function decodePax(bytes: Buffer, where: string): PaxRecords {
  const records: PaxRecords = new Map()
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.subarray(at, at + 9).indexOf(0x20)
    const digits = bytes.toString('latin1', at, at + Math.max(space, 0))
    const end = at + Number(digits)
    if (!/^[1-9][0-9]*$/.test(digits) || end > bytes.length || bytes[end - 1] !== 0x0a) {
      throw new FleetsieError('E_DAMAGED', `${where}: the pax record at its byte ${at} has a wrong length`)
    }
    const record = bytes.subarray(at + space + 1, end - 1)
    const equals = record.indexOf(0x3d)
    if (equals < 1)
      throw new FleetsieError('E_DAMAGED', `${where}: the pax record at its byte ${at} has no key`)
    records.set(
      utf8(record.subarray(0, equals), 'the key of a pax record', where),
      record.subarray(equals + 1),
    )
    at = end
  }
  return records
}

/** Writes records in the order given. A record's length counts its own digits. */
export function encodePax(records: Iterable<readonly [key: string, value: Buffer]>): Buffer {
  const parts: Buffer[] = []
  for (const [key, value] of records) {
    const body = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')])
    let length = body.length
    while (String(length).length + body.length !== length) length = String(length).length + body.length
    parts.push(Buffer.from(String(length)), body)
  }
  return Buffer.concat(parts)
}

/** A decimal time such as -1.5 (which is 500 ms after -2). Digits beyond nanoseconds are dropped. */
export function decodePaxTime(value: Buffer, where: string): LayerTime {
  const match = /^(-?)([0-9]{1,16})(?:\.([0-9]*))?$/.exec(value.toString('latin1'))
  if (!match)
    throw new FleetsieError('E_DAMAGED', `${where}: ${JSON.stringify(value.toString('latin1'))} is no time`)
  const whole = Number(match[2])
  const fraction = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'))
  if (match[1] === '') return { seconds: whole, nanoseconds: fraction }
  // 0 - x, not -x: negative zero is not 0 to those who compare.
  if (fraction === 0) return { seconds: 0 - whole, nanoseconds: 0 }
  return { seconds: 0 - whole - 1, nanoseconds: 1_000_000_000 - fraction }
}

export function encodePaxTime({ seconds, nanoseconds }: LayerTime): Buffer {
  if (nanoseconds === 0) return Buffer.from(String(seconds))
  const negative = seconds < 0
  const whole = negative ? -(seconds + 1) : seconds
  const fraction = negative ? 1_000_000_000 - nanoseconds : nanoseconds
  const digits = String(fraction).padStart(9, '0').replace(/0+$/, '')
  return Buffer.from(`${negative ? '-' : ''}${whole}.${digits}`)
}

export function decodePaxInteger(value: Buffer, what: string, where: string): number {
  const text = value.toString('latin1')
  const number = Number(text)
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(number)) {
    throw new FleetsieError('E_DAMAGED', `${where}: ${what} ${JSON.stringify(text)} is no size`)
  }
  return number
}
