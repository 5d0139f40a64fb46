/**
 * Makes the closure that a fleet's server runs: Node, better-sqlite3 with one binary, our programs and what starts them.
 * There is no secret in it, and nothing in it is of one server.
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { BuildContext } from '../../engine/stage.ts'
import { compareEntries, type LayerAttributes, type LayerInput, writeLayer } from '../../formats/layer.ts'
import { type Architecture, type Closure, closureListing, closureTar } from './listing.ts'
import { lacking, type Place, packageFiles } from './package-files.ts'
import { programText, serverPrograms, serverUnits } from './programs.ts'
import { takeSqlite } from './sqlite.ts'

type Context = Pick<BuildContext<unknown>, 'out' | 'tmp' | 'signal' | 'declare'>

export interface Parts {
  architecture: Architecture
  /** The packages node-linux-ARCH and better-sqlite3, as npm has them. */
  node: string
  sqlite: string
  /** The path of a file of units/. */
  unit(name: string): string
}

/** A file of the closure, written to `from` for now. */
interface ClosureFile extends Place {
  from: string
  size: number
  sha256: string
}

/** Writes closure.tar and closure.json into `context.out`. Fails with E_DAMAGED where a package is not what it was. */
export async function writeClosure(context: Context, parts: Parts): Promise<void> {
  const files = await collect(context, parts)
  const inputs = [...folders(files), ...files.map(fileInput)]
  inputs.sort((a, b) => compareEntries(a.entry, b.entry))
  const tar = await store(join(context.out, closureTar), writeLayer(inputs), context.signal)
  context.declare(closureTar, { sha256: tar.sha256 })
  const list = files.sort((a, b) => (a.path < b.path ? -1 : 1))
  const closure: Closure = {
    digest: tar.sha256,
    size: tar.size,
    architecture: parts.architecture,
    files: list.map(({ path, mode, size, sha256 }) => ({
      path,
      mode: mode === 0o555 ? '555' : '444',
      size,
      sha256,
    })),
  }
  await writeFile(join(context.out, closureListing), `${JSON.stringify(closure, null, 1)}\n`)
}

async function collect({ tmp, signal }: Context, parts: Parts): Promise<ClosureFile[]> {
  const files: ClosureFile[] = []
  const take = async (place: Place, content: AsyncIterable<Uint8Array>): Promise<void> => {
    const from = join(tmp, `${files.length}`)
    files.push({ ...place, from, ...(await store(from, content, signal)) })
  }
  await packageFiles(parts.node, (name) => nodePlaces.get(name), take, signal)
  if (!files.some(({ path }) => path === 'bin/node')) throw lacking('bin/node', parts.node)
  const text = async (path: string, mode: Place['mode'], bytes: Promise<Uint8Array>): Promise<void> =>
    take({ path, mode }, once(await bytes))
  await takeSqlite(parts.sqlite, parts.architecture, join(tmp, 'better-sqlite3'), take, signal)
  const [start, ...others] = serverUnits
  for (const name of serverPrograms) {
    await text(`${name}.cjs`, 0o444, programText(name))
    await text(name, 0o555, readFile(parts.unit(start)))
  }
  for (const name of others) await text(name, 0o555, readFile(parts.unit(name)))
  return files
}

const nodePlaces = new Map<string, Place>([
  ['bin/node', { path: 'bin/node', mode: 0o555 }],
  ['LICENSE', { path: 'bin/LICENSE', mode: 0o444 }],
])

function attributes(path: string, mode: number): LayerAttributes {
  return { path, mode, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map() }
}

function folders(files: readonly ClosureFile[]): LayerInput[] {
  const paths = new Set<string>()
  for (const { path } of files) {
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1))
      paths.add(path.slice(0, end))
  }
  return [...paths].map((path) => ({ entry: { ...attributes(path, 0o555), type: 'directory' } }))
}

function fileInput({ path, mode, size, from }: ClosureFile): LayerInput {
  const entry = { ...attributes(path, mode), type: 'file', size } as const
  return { entry, content: read(from) }
}

/** Opened when its turn comes. */
async function* read(path: string): AsyncGenerator<Buffer> {
  yield* createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>
}

/** Writes and hashes a new file. */
async function store(
  path: string,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256')
  let size = 0
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const piece of content) {
      hash.update(piece)
      size += piece.length
      yield piece
    }
  }
  await pipeline(counted, createWriteStream(path, { flags: 'wx' }), { signal })
  return { size, sha256: hash.digest('hex') }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
