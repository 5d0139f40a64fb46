/** What the environment says about a build's key. */
import type { BuildOptions } from '../engine/build-options.ts'
import { FleetsieError } from '../errors.ts'

export function sourceDateEpoch(env: NodeJS.ProcessEnv): Pick<BuildOptions, 'epoch' | 'cacheEpoch'> {
  const text = env['SOURCE_DATE_EPOCH']
  const cacheEpoch = env['FLEETSIE_CACHE_EPOCH']
  if (text !== undefined && text !== '' && !/^\d{1,12}$/.test(text)) {
    throw new FleetsieError('E_USAGE', `SOURCE_DATE_EPOCH is ${JSON.stringify(text)}`, {
      hint: 'seconds since 1970, for example `SOURCE_DATE_EPOCH=1700000000`',
    })
  }
  return {
    ...(text ? { epoch: Number(text) } : {}),
    ...(cacheEpoch ? { cacheEpoch } : {}),
  }
}
