/** Names in an overlay that take something away from the image. Source: OCI image specification, layer. */
import type { Source } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'

export const opaqueMark = '.wh..wh..opq'
const prefix = '.wh.'
const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** The name that goes away, the opaque mark itself, or nothing when `base` is an ordinary name. E_INPUT. */
export function whiteoutName(base: string, source: Source): string | undefined {
  if (!base.startsWith(prefix)) return undefined
  const fail = (message: string, hint: string): FleetsieError =>
    new FleetsieError('E_INPUT', `${JSON.stringify(source.path)} ${message}`, { file: source.path, hint })
  if (source.type !== 'file' || source.sha256 !== emptySha256) {
    throw fail(
      'is no empty file, as a whiteout has to be',
      `empty it, or rename it: ${prefix} marks what is removed`,
    )
  }
  if (base === opaqueMark) return base
  const name = base.slice(prefix.length)
  if (name === '' || name === '.' || name === '..' || name.startsWith('.wh.')) {
    throw fail(
      'names nothing that could be removed',
      `${prefix}NAME removes NAME, ${opaqueMark} empties its folder`,
    )
  }
  return name
}
