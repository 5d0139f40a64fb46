/** What `init` is given, a path or a URL, and what the image is called then. */

import { basename, relative, resolve } from 'node:path'
import { fetch } from '../../../stages/fetch.ts'
import type { Derivation } from '../../engine/stage.ts'
import type { Store } from '../../engine/store/store.ts'
import { FleetsieError } from '../../errors.ts'
import { shellWord } from '../../formats/shell.ts'
import { lastPart } from '../../images/download/last-part.ts'
import { expectImage } from './looks-like.ts'
import type { ImageSource } from './record.ts'

/** What the stage `save` takes as a name. */
const osName = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$/

/** Fails with E_USAGE or E_INPUT for what can be no image. `folder` is where the user is. */
export async function sourceOf(
  given: string,
  sum: string | undefined,
  folder: string,
  store: Store,
): Promise<ImageSource> {
  if (sum !== undefined && !/^[0-9a-f]{64}$/i.test(sum)) {
    throw new FleetsieError('E_USAGE', `--sha256 takes 64 hexadecimal digits, not ${JSON.stringify(sum)}`)
  }
  if (/^https?:\/\//i.test(given)) {
    if (sum === undefined) throw withoutSum(given)
    return { type: 'url', url: given, sha256: sum.toLowerCase() }
  }
  const path = resolve(folder, given)
  await expectImage(path)
  const sha256 = await store.sha256(path)
  if (sum !== undefined && sha256 !== sum.toLowerCase()) {
    throw new FleetsieError('E_VERIFY', `the file has sha256 ${sha256}, but ${sum} was asked for`, {
      file: path,
    })
  }
  return { type: 'file', path, sha256 }
}

function withoutSum(url: string): FleetsieError {
  const quoted = shellWord(url)
  return new FleetsieError('E_USAGE', 'an image from the web needs its sha256', {
    hint: `its publisher lists it, mostly in a file beside it:
       curl -fL ${shellWord(`${url}.sha256`)}
       fleetsie_mod init ${quoted} --sha256 SUM
  where nobody lists it, take the one of what comes now:
       fleetsie_mod init ${quoted} --sha256 "$(curl -fL ${quoted} | sha256sum | cut -c1-64)"`,
  })
}

/** The stage that gets it; `folder` is what the build counts paths from. */
export function fetchOf(source: ImageSource, folder: string): Derivation {
  if (source.type === 'url') return fetch({ url: source.url, sha256: source.sha256 })
  return fetch({ file: relative(folder, source.path) || source.path, sha256: source.sha256 })
}

/** `…/OSNAME.img.xz` → `OSNAME.img`. Fails with E_USAGE where that is no name for an image. */
export function imageNameOf(source: ImageSource): string {
  const last = source.type === 'url' ? lastPart(source.url) : basename(source.path)
  const name = last.replace(/\.(xz|gz|zst|zip)$/i, '').replace(/\.img$/i, '')
  if (osName.test(name)) return `${name}.img`
  throw new FleetsieError('E_USAGE', `${JSON.stringify(last)} gives no name for an image`, {
    hint: 'call the file OSNAME.img.xz, of letters, digits and ._+- only',
  })
}
