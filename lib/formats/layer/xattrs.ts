/** Extended attributes in pax records, as star and GNU tar (SCHILY.xattr) or libarchive (LIBARCHIVE.xattr) keep them. */
import { FleetsieError } from '../../errors.ts'
import type { PaxRecords } from '../tar/pax.ts'

const star = 'SCHILY.xattr.'
const libarchive = 'LIBARCHIVE.xattr.'

/** Fails with E_UNSUPPORTED for attributes in forms that would have to be translated. */
export function readXattrs(pax: PaxRecords, where: string): Map<string, Buffer> {
  const xattrs = new Map<string, Buffer>()
  for (const [key, value] of pax) {
    if (key.startsWith(libarchive))
      xattrs.set(percentDecoded(key.slice(libarchive.length)), base64(value, where))
    else if (key.startsWith('SCHILY.acl.') || key.startsWith('RHT.security.')) {
      throw new FleetsieError('E_UNSUPPORTED', `${where}: access rights in a record of the kind ${key}`, {
        hint: 'make the archive with `tar --xattrs --no-acls --no-selinux`, or `bsdtar --no-acls`',
      })
    }
  }
  // bsdtar writes both; of the two, this one holds the bytes themselves.
  for (const [key, value] of pax) {
    if (key.startsWith(star)) xattrs.set(unescapeKey(key.slice(star.length)), value)
  }
  return xattrs
}

const unescapeKey = (key: string): string => key.replaceAll('%3D', '=').replaceAll('%25', '%')

function percentDecoded(key: string): string {
  try {
    return decodeURIComponent(key)
  } catch {
    // A lone '%' is a character like any other.
    return key
  }
}

function base64(value: Buffer, where: string): Buffer {
  const text = value.toString('latin1')
  if (/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return Buffer.from(text, 'base64')
  throw new FleetsieError('E_DAMAGED', `${where}: the value of an extended attribute is not base64`)
}
