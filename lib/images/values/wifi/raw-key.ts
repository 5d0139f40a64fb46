/** The key of a WPA network: IEEE 802.11, annex J.4, as `wpa_passphrase` computes it. */
import { pbkdf2Sync } from 'node:crypto'
import { isRawKey } from '../check.ts'
import type { Secret } from '../secret.ts'

/** 64 hex digits. */
export function rawKey(ssid: Buffer, password: Secret): string {
  const bytes = password.reveal()
  if (isRawKey(bytes)) return bytes.toString('latin1')
  return pbkdf2Sync(bytes, ssid, 4096, 32, 'sha1').toString('hex')
}
