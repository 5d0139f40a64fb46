/** The one answer to a private key in an overlay. */
import { FleetsieError } from '../../errors.ts'
import { shellWord } from '../../formats/shell.ts'

export function refusePrivateKey(path: string): FleetsieError {
  const atDesk = path.startsWith('overlays/part_')
    ? `; at a desk: fleetsie_mod save --allow-private-key ${shellWord(path)}`
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
