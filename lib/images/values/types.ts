/** What one device gets of its own when its card is written, and where on the card that goes. */
import type { Run } from '../../engine/process.ts'
import type { ByteRange } from '../byte-ranges.ts'
import type { EditablePartition } from '../partition-edit.ts'
import type { Secret } from './secret.ts'

/** The names of `--set` and of a CSV's columns. */
export const valueNames = [
  'hostname',
  'user',
  'password',
  'ssh-key',
  'wifi-ssid',
  'wifi-password',
  'wifi-country',
  'timezone',
] as const
export type ValueName = (typeof valueNames)[number]

export interface Wifi {
  /** 1 to 32 bytes. */
  ssid: Buffer
  /** Nothing: an open network. */
  password?: Secret
}

/** Checked values of one device. */
export interface DeviceValues {
  /** Where they were given, for messages: `--set`, or a CSV's file and line. */
  from: string
  hostname?: string
  user?: string
  /** In clear; it is hashed before it is written. */
  password?: Secret
  /** Lines for authorized_keys. */
  sshKeys: readonly string[]
  wifi?: Wifi
  /** ISO 3166-1 alpha-2, in capitals. */
  wifiCountry?: string
  /** A name of the tz database. */
  timezone?: string
}

/** One row of a CSV. */
export interface DeviceRow {
  values: DeviceValues
  /** What the row is called: its host name, else its number from 1. */
  name: string
  /** The card that it is for: the column `serial`. */
  serial?: string
}

/** A partition that can be read and written: of a disk image, a card, or a device of its own at offset 0. */
export interface CardVolume {
  /** `offset` is where it begins in `path`. */
  partition: EditablePartition
  /** An image file, a block device. */
  path: string
}

/** What may have changed, by file or device. */
export interface Touched {
  path: string
  ranges: ByteRange[]
}

export interface ApplyValuesOptions {
  run: Run
  /** What the card holds: its root partition, and the boot partition where the system has one. */
  volumes: readonly CardVolume[]
  values: DeviceValues
  /** Seconds since 1970, for what is written. Default: now. */
  epoch?: number
  signal?: AbortSignal
  warn?: (line: string) => void
}

/** What says that a card is some device's: `described` is it in words, for the question. */
export interface ClaimedIdentity {
  hostname?: string
  machineId?: string
  /** How many host keys sshd has made. */
  sshHostKeys: number
  /** `fleetsie_provision` has run: the device has an identity at its fleet's server. */
  claimed: boolean
  tunnelPort?: number
  described: string
}

export interface UpdateFilesOptions {
  run: Run
  /** Partitions of the card; their numbers say which of the image's belong to them. */
  card: readonly CardVolume[]
  image: readonly CardVolume[]
  /** Of the image that the card was written from, if it is known: files that it had and `image` has not are removed. */
  stock?: readonly CardVolume[]
  tmp: string
  /** Seconds since 1970. Default: now. */
  epoch?: number
  signal?: AbortSignal
  note?: (line: string) => void
}

/** Of one partition; `kept`: what is the device's own, or no image had. */
export interface FilesReport {
  partition: number
  added: number
  changed: number
  removed: number
  kept: number
  bytesWritten: number
  /** Protected files that differ from the image's. */
  differing: string[]
  touched: Touched
}
