/** Makes a folder's entries: the 8.3 form, and the long name's slots before it. Microsoft's specification 1.03, "Long names". */
import { fatAttributes, shortChecksum, slotUnits } from './entries.ts'

const slotBytes = 32
const plain = /^[A-Z0-9!#$%&'()@^_`{}~-]$/

export interface NewEntry {
  name: string
  attributes: number
  cluster: number
  size: number
  /** Seconds since 1970. */
  time: number
}

/** The slots of an entry in their order, the 8.3 form last. `taken`: the folder's 8.3 forms, as `NAME.EXT`. */
export function slotsFor(entry: NewEntry, taken: ReadonlySet<string>): Buffer[] {
  const short = shortFor(entry.name, taken)
  const slot = Buffer.alloc(slotBytes)
  slot.write(short, 0, 'latin1')
  slot[11] = entry.attributes
  slot.writeUInt16LE(dateOf(entry.time), 16)
  slot.writeUInt16LE(timeOf(entry.time), 14)
  pointTo(slot, entry)
  return [...longSlots(entry.name, shortChecksum(slot, 0)), slot]
}

/** Lets an 8.3 entry, of 32 bytes, lead to other content. */
export function pointTo(slot: Buffer, { cluster, size, time }: Omit<NewEntry, 'name' | 'attributes'>): void {
  slot.writeUInt16LE(cluster >>> 16, 20)
  slot.writeUInt16LE(cluster & 0xffff, 26)
  slot.writeUInt16LE(timeOf(time), 22)
  slot.writeUInt16LE(dateOf(time), 24)
  slot.writeUInt16LE(dateOf(time), 18)
  slot.writeUInt32LE(size, 28)
}

/** A new folder's first bytes: `.` and `..`; `parent` is 0 for the top folder. */
export function dotEntries(cluster: number, parent: number, time: number): Buffer {
  const bytes = Buffer.alloc(2 * slotBytes)
  for (const [index, to] of [cluster, parent].entries()) {
    const slot = bytes.subarray(index * slotBytes, (index + 1) * slotBytes)
    slot.write('.'.repeat(index + 1).padEnd(11), 0, 'latin1')
    slot[11] = fatAttributes.folder
    slot.writeUInt16LE(dateOf(time), 16)
    slot.writeUInt16LE(timeOf(time), 14)
    pointTo(slot, { cluster: to, size: 0, time })
  }
  return bytes
}

function longSlots(name: string, checksum: number): Buffer[] {
  const units = [...Array(name.length).keys()].map((index) => name.charCodeAt(index))
  if (units.length % slotUnits.length !== 0) units.push(0)
  while (units.length % slotUnits.length !== 0) units.push(0xffff)
  const count = units.length / slotUnits.length
  return [...Array(count).keys()].reverse().map((index) => {
    const slot = Buffer.alloc(slotBytes)
    slot[0] = (index + 1) | (index === count - 1 ? 0x40 : 0)
    slot[11] = fatAttributes.longName
    slot[13] = checksum
    for (const [place, at] of slotUnits.entries())
      slot.writeUInt16LE(units[index * slotUnits.length + place]!, at)
    return slot
  })
}

/** Eleven characters: the name in capitals where it fits, else its beginning and `~N`. */
function shortFor(name: string, taken: ReadonlySet<string>): string {
  const dot = name.lastIndexOf('.')
  const [base, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot + 1)] : [name, '']
  const clean = (text: string): string =>
    [...text.toUpperCase().replace(/[. ]/g, '')].map((char) => (plain.test(char) ? char : '_')).join('')
  const [short, type] = [clean(base), clean(extension).slice(0, 3)]
  const form = (body: string): string => (type === '' ? body : `${body}.${type}`)
  const lossless = short === base.toUpperCase() && clean(extension) === extension.toUpperCase()
  if (lossless && short.length <= 8 && extension.length <= 3 && !taken.has(form(short)))
    return short.padEnd(8) + type.padEnd(3)
  for (let number = 1; ; number++) {
    const tail = `~${number}`
    const body = short.slice(0, 8 - tail.length) + tail
    if (!taken.has(form(body))) return body.padEnd(8) + type.padEnd(3)
  }
}

function dateOf(seconds: number): number {
  const date = new Date(seconds * 1000)
  return ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate()
}

function timeOf(seconds: number): number {
  const date = new Date(seconds * 1000)
  return (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1)
}
