/** The one answer to a private key in an overlay. */
import { FleetsieError } from '../../errors.ts'

export function refusePrivateKey(path: string): FleetsieError {
  const atDesk = path.startsWith('overlays/part_')
    ? `; at a desk: fleetsie_mod save --allow-private-key ${quoted(path)}`
    : ''
  return new FleetsieError(
    'E_UNSAFE',
    `${JSON.stringify(path)} holds a private key, which every copy of the image would give away`,
    {
      file: path,
      hint: `remove it, or allow it by \`allowPrivateKeys: [${JSON.stringify(path)}]\`${atDesk}`,
    },
  )
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
