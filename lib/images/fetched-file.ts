/** The object that `fetch` and `debian` make: one file, and file.json, which says its name and sum. */
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as v from 'valibot'
import { FleetsieError } from '../errors.ts'

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

/** Finds the file in the object `folder`. Fails with E_INPUT when the object is of another kind. */
export async function fetchedFile(folder: string): Promise<FetchedFile> {
  const text = await readFile(join(folder, 'file.json'), 'utf8').catch((cause: unknown) => {
    throw new FleetsieError('E_INPUT', 'here a downloaded file is needed, and this is none', {
      file: folder,
      hint: 'give the result of `fetch` or `debian`',
      cause,
    })
  })
  const { name, sha256 } = v.parse(description, JSON.parse(text))
  if (basename(name) !== name) {
    throw new FleetsieError('E_INPUT', `a file cannot be named ${JSON.stringify(name)}`)
  }
  return { file: join(folder, name), name, sha256 }
}
