/** closure.json: what a closure is called and holds. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { FleetsieError } from '../../errors.ts'

/** As Node names them. */
export const architectures = ['x64', 'arm64'] as const
export type Architecture = (typeof architectures)[number]

/** Beside closure.json in the output of `server-bundle`. */
export const closureTar = 'closure.tar'
export const closureListing = 'closure.json'

const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const listing = v.strictObject({
  /** sha256 of closure.tar: the name of its folder on a server. */
  digest: sha256,
  /** Of closure.tar, bytes. */
  size,
  architecture: v.picklist(architectures),
  files: v.array(v.strictObject({ path: v.string(), mode: v.picklist(['444', '555']), size, sha256 })),
})
export type Closure = v.InferOutput<typeof listing>

/** What the output `folder` of `server-bundle` holds. Fails with E_DAMAGED. */
export async function readClosure(folder: string): Promise<Closure> {
  const file = join(folder, closureListing)
  try {
    return v.parse(listing, JSON.parse(await readFile(file, 'utf8')))
  } catch (cause) {
    throw new FleetsieError('E_DAMAGED', 'this is no list of a closure', { file, cause })
  }
}
