/** Takes better-sqlite3 out of its npm package: one binary, and its JavaScript as one file. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { Architecture } from './listing.ts'
import { oneFile } from './one-file.ts'
import { lacking, type Place, packageFiles, type Take } from './package-files.ts'

const folder = 'node_modules/better-sqlite3'
/** Where the library looks first: no other way of finding it is as fast. */
const binaryPlace = `${folder}/build/Release/better_sqlite3.node`

/** `scratch` is a folder to be made. Fails with E_DAMAGED where the package is not what it should be. */
export async function takeSqlite(
  tgz: string,
  architecture: Architecture,
  scratch: string,
  take: Take,
  signal: AbortSignal,
): Promise<void> {
  const binary = `prebuilds/linux-${architecture}.node`
  const seen = new Set<string>()
  const each: Take = async (place, content) => {
    seen.add(place.path)
    if (place.path.startsWith(folder)) return take(place, content)
    const file = join(scratch, place.path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, content, { signal })
  }
  await packageFiles(tgz, (name) => placeOf(name, binary), each, signal)
  if (!seen.has(binaryPlace)) throw lacking(binary, tgz)
  if (!seen.has('lib/index.js')) throw lacking('lib/index.js', tgz)
  const how = { root: scratch, external: ['*.node'] }
  const text = await oneFile(join(scratch, 'lib/index.js'), how).catch((cause: unknown) => {
    throw new FleetsieError('E_DAMAGED', 'its JavaScript does not fit together', { file: tgz, cause })
  })
  async function* content(): AsyncGenerator<Uint8Array> {
    yield text
  }
  await take({ path: `${folder}/lib/index.js`, mode: 0o444 }, content())
}

/** What is JavaScript of the library keeps its name, for `scratch`. */
function placeOf(name: string, binary: string): Place | undefined {
  const mode = 0o444
  if (name === binary) return { path: binaryPlace, mode }
  if (name === 'package.json' || name === 'LICENSE') return { path: `${folder}/${name}`, mode }
  return /^lib\/(?:[\w-]+\/)*[\w-]+\.js$/.test(name) ? { path: name, mode } : undefined
}
