/** The names, numbers and limits of fleets, as checks that both the manager's machine and the server make. */
import { createHash, randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import { FleetsieError } from '../errors.ts'

/** So that the user `fleetsie_FLEET` fits into 32 characters, the most that useradd takes. */
export const fleetPattern = /^[A-Za-z0-9_]{1,23}$/
/** A MAC address; kept in lower case. */
export const hwidPattern = /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/
/** 128 random bytes. */
export const otpPattern = /^[0-9a-f]{256}$/
/** What Main and Fleet keep of an OTP. */
export const otpHashPattern = /^sha256:[0-9a-f]{64}$/
/** The name of one disk's claims. */
export const lotPattern = /^[0-9a-f]{16}$/
/** One ed25519 public key without options and comment: 51 bytes in base64. */
export const publicKeyPattern = /^ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}$/
/** The authorized_keys line by which operators log in to a fleet's devices: certificates of one authority. */
export const loginKeyPattern =
  /^cert-authority,principals="fleetsie" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}(?: [\w.@ -]{1,100})?$/

/** Below the ports that Linux gives to outgoing connections (32768 on). */
export const firstPort = 20_001
export const lastPort = 29_999
/** As many as there are ports. */
export const maxDevices = lastPort - firstPort + 1

/** The user on the server that a fleet's devices log in as. */
export const fleetUser = (fleet: string): string => `fleetsie_${fleet}`
export const hostname = (fleet: string, idInFleet: number): string => `${fleet}-${idInFleet}`

/** A new one-time password. */
export const makeOtp = (): string => randomBytes(128).toString('hex')
export const hashOtp = (otp: string): string => `sha256:${createHash('sha256').update(otp).digest('hex')}`

/** Answers `name` when it can be a fleet's; fails with E_INPUT. */
export function checkFleet(name: string): string {
  if (fleetPattern.test(name)) return name
  throw new FleetsieError('E_INPUT', `${JSON.stringify(name.slice(0, 60))} cannot be the name of a fleet`, {
    hint: 'letters, digits and underscores, at most 23 of them',
  })
}

/** NUM of `gen`: 0 to 9999. Fails with E_INPUT. */
export function checkNum(text: string): number {
  if (/^[0-9]{1,9}$/.test(text) && Number(text) <= maxDevices) return Number(text)
  throw new FleetsieError('E_INPUT', `${JSON.stringify(text.slice(0, 60))} is no number of devices`, {
    hint: `0 to ${maxDevices}: as many tunnel ports as one server has`,
  })
}

/** FLEET-N → its fleet and number; undefined for anything else. */
export function parseDevice(name: string): { fleet: string; idInFleet: number } | undefined {
  const [, fleet, number] = /^([A-Za-z0-9_]{1,23})-([1-9][0-9]{0,8})$/.exec(name) ?? []
  return fleet && number ? { fleet, idInFleet: Number(number) } : undefined
}

export interface FleetHost {
  /** A host name, or an address without brackets. */
  host: string
  /** Only when it was said. */
  port: number | undefined
}

/** FLEET_HOST: `HOST`, `HOST:PORT`, an address, `[v6]:PORT`. Fails with E_INPUT. */
export function parseFleetHost(text: string): FleetHost {
  if (isIP(text)) return { host: text, port: undefined }
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::([0-9]{1,5}))?$/.exec(text) ?? []
  const port = digits === undefined ? undefined : Number(digits)
  const host = bracketed ?? plain
  const valid = bracketed === undefined ? isHostname(plain ?? '') : isIP(bracketed) === 6
  if (host && valid && (port === undefined || (port > 0 && port < 65_536))) return { host, port }
  throw new FleetsieError('E_INPUT', `${JSON.stringify(text.slice(0, 260))} is not the name of a host`, {
    hint: 'HOST, HOST:PORT, an address or [IPv6 address]:PORT',
  })
}

// Underscores are no part of RFC 1123, but of many private names.
function isHostname(name: string): boolean {
  return name.length <= 253 && name.split('.').every((label) => /^\w(?:[\w-]{0,61}\w)?$/.test(label))
}
