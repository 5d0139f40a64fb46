/** The object that `fetch` and `debian` make: one file, and file.json, which says its name and sum. */
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as v from 'valibot'
import { FleetsieError } from '../errors.ts'
import { parseJson } from '../formats/json.ts'

const description = v.looseObject({
  name: v.pipe(v.string(), v.minLength(1)),
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
})

export interface FetchedFile {
  /** Its path. */
  file: string
  name: string
  sha256: string
}

/** Finds the file in the object `folder`. Fails with E_INPUT when the object is of another kind, E_STORE when it is damaged. */
export async function fetchedFile(folder: string): Promise<FetchedFile> {
  const text = await readFile(join(folder, 'file.json'), 'utf8').catch((cause: unknown) => {
    throw new FleetsieError('E_INPUT', 'here a downloaded file is needed, and this is none', {
      file: folder,
      hint: 'give the result of `fetch` or `debian`',
      cause,
    })
  })
  const result = v.safeParse(description, parseJson(text))
  if (!result.success || basename(result.output.name) !== result.output.name) {
    throw new FleetsieError('E_STORE', 'the description of a downloaded file is damaged', {
      file: join(folder, 'file.json'),
      hint: '`fleetsie store verify --repair` drops what is damaged',
    })
  }
  const { name, sha256 } = result.output
  return { file: join(folder, name), name, sha256 }
}
