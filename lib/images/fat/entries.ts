/** Folder entries of FAT, with long names: Microsoft's "FAT32 File System Specification" 1.03. */
import { toBytes, type VolumeTime } from '../volume.ts'

export interface FatEntry {
  /** UTF-8 bytes as latin1. */
  name: string
  /** The 8.3 form, as mtools takes it. */
  short: string
  attributes: number
  cluster: number
  size: number
  mtime: VolumeTime
  /** Positions, within what was parsed, of the long name's slots in the order of the name, and of the entry. */
  slots: number[]
  at: number
}

export const fatAttributes = {
  readOnly: 0x01,
  label: 0x08,
  folder: 0x10,
  archive: 0x20,
  longName: 0x0f,
} as const

// mtools' default code page, in which it reads and writes 8.3 names.
const cp850 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0'

/** The 13 places of a long name's slot. */
export const slotUnits = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30] as const

/** All files and folders in the bytes of a folder; no label, no '.' and '..'. */
export function* parseEntries(bytes: Buffer): Generator<FatEntry> {
  let long: { text: string; checksum: number; slots: number[]; next: number } | undefined
  for (let at = 0; at + 32 <= bytes.length && bytes[at] !== 0; at += 32) {
    const first = bytes[at]!
    const attributes = bytes[at + 11]!
    if (first === 0xe5) {
      long = undefined
    } else if ((attributes & 0x3f) === fatAttributes.longName) {
      const number = first & 0x3f
      const checksum = bytes[at + 13]!
      const begins = (first & 0x40) !== 0
      if (begins) long = { text: '', checksum, slots: [], next: number }
      if (long && (long.next !== number || long.checksum !== checksum)) long = undefined
      if (long) {
        long.text = units(bytes, at) + long.text
        long.slots.unshift(at)
        long.next = number - 1
      }
    } else {
      const usable = long && long.next === 0 && long.checksum === shortChecksum(bytes, at) ? long : undefined
      long = undefined
      if (attributes & fatAttributes.label || first === 0x2e) continue
      yield {
        name: toBytes(usable ? usable.text : shortName(bytes, at, true)),
        short: shortName(bytes, at, false),
        attributes,
        cluster: bytes.readUInt16LE(at + 26) + bytes.readUInt16LE(at + 20) * 65536,
        size: bytes.readUInt32LE(at + 28),
        mtime: {
          seconds: decodeTime(bytes.readUInt16LE(at + 24), bytes.readUInt16LE(at + 22)),
          nanoseconds: 0,
        },
        slots: usable ? usable.slots : [],
        at,
      }
    }
  }
}

function units(bytes: Buffer, at: number): string {
  let text = ''
  for (const place of slotUnits) {
    const unit = bytes.readUInt16LE(at + place)
    if (unit === 0) break
    text += String.fromCharCode(unit)
  }
  return text
}

export function shortChecksum(bytes: Buffer, at: number): number {
  let sum = 0
  for (let i = 0; i < 11; i++) sum = (((sum & 1) << 7) + (sum >> 1) + bytes[at + i]!) & 0xff
  return sum
}

function shortName(bytes: Buffer, at: number, cased: boolean): string {
  const part = (from: number, to: number, lower: boolean): string => {
    let text = ''
    for (let i = from; i < to; i++) {
      const byte = i === 0 && bytes[at] === 0x05 ? 0xe5 : bytes[at + i]!
      text += byte < 0x80 ? String.fromCharCode(byte) : cp850[byte - 0x80]!
    }
    text = text.replace(/ +$/, '')
    return lower ? text.toLowerCase() : text
  }
  const flags = cased ? bytes[at + 12]! : 0
  const base = part(0, 8, (flags & 0x08) !== 0)
  const extension = part(8, 11, (flags & 0x10) !== 0)
  return extension === '' ? base : `${base}.${extension}`
}

/** FAT has local time; ours is UTC. Two seconds are the smallest step. */
function decodeTime(date: number, time: number): number {
  const millis = Date.UTC(
    1980 + (date >> 9),
    ((date >> 5) & 15) - 1,
    date & 31,
    time >> 11,
    (time >> 5) & 63,
    (time & 31) * 2,
  )
  return Math.floor(millis / 1000)
}

const firstSecond = Date.UTC(1980, 0, 1) / 1000
const lastSecond = Date.UTC(2107, 11, 31, 23, 59, 58) / 1000

/** The nearest time that FAT can hold. */
export function fatTime(seconds: number): number {
  const held = Math.min(Math.max(seconds, firstSecond), lastSecond)
  return held - (held % 2)
}
