/** Projects with an overlay in temporary folders, in git or not, and what the stage makes of them. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before } from 'node:test'
import type { BuildStage, Source } from '../../lib/engine/stage.ts'
import { FleetsieError } from '../../lib/errors.ts'
import { type LayerEntry, readLayer } from '../../lib/formats/layer.ts'
import type { OverlayOptions } from '../../lib/images/overlay/sources.ts'
import { overlay } from '../../stages/overlay.ts'
import { buildContext } from './context.ts'

const stage = overlay({ from: 'overlays' }).stage as BuildStage
export const git = (cwd: string, ...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
    cwd,
    stdio: 'pipe',
  })

let top: string
let count = 0
before(async () => {
  top = await mkdtemp(join(tmpdir(), 'fleetsie-overlay-'))
})
after(() => rm(top, { recursive: true, force: true }))

export const outside = (name: string): string => join(top, name)

export async function write(folder: string, files: Record<string, string | Buffer>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
}

/** A folder with these files, committed unless it is to be no repository. */
export async function project(
  files: Record<string, string | Buffer>,
  { repository = true } = {},
): Promise<string> {
  const cwd = join(top, `project ${count++}`)
  await mkdir(cwd)
  await write(cwd, files)
  if (repository) {
    git(cwd, 'init', '-q')
    git(cwd, 'add', '-f', '.')
    git(cwd, 'commit', '-qm', 'files', '--allow-empty')
  }
  return cwd
}

const sha256 = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')

/** What the stage would read. `hash` stands for the store's memory of hashes. */
export async function sourcesOf(cwd: string, options: OverlayOptions, hash = sha256) {
  const notes: string[] = []
  const sources = await stage.sources!(
    { ...options },
    { cwd, sha256: hash, note: (line) => notes.push(line) },
  )
  return { sources, notes }
}

interface Layers {
  notes: string[]
  tars: Map<string, Buffer>
  entries: Map<string, Map<string, LayerEntry>>
  text: Map<string, string>
}

export async function build(
  cwd: string,
  more: Partial<OverlayOptions> = {},
  given?: Source[],
): Promise<Layers> {
  const options = { from: 'overlays', ...more }
  const { sources, notes } = await sourcesOf(cwd, options)
  const context = await buildContext<OverlayOptions>(options as never, { sources: given ?? sources })
  try {
    await stage.run(context as never)
    const layers: Layers = {
      notes: [...notes, ...context.record.notes],
      tars: new Map(),
      entries: new Map(),
      text: new Map(),
    }
    for (const [name, digest] of context.record.declared) {
      const path = join(context.out, name)
      assert.deepEqual(digest, { sha256: await sha256(path) }, 'the declared digest is that of the file')
      layers.tars.set(name, await readFile(path))
      const entries = new Map<string, LayerEntry>()
      for await (const { entry, content } of readLayer(createReadStream(path))) {
        const key =
          entry.type === 'whiteout' || entry.type === 'opaque' ? `${entry.type} ${entry.path}` : entry.path
        entries.set(key, entry)
        const parts: Buffer[] = []
        for await (const part of content) parts.push(part)
        if (entry.type === 'file') layers.text.set(entry.path, Buffer.concat(parts).toString())
      }
      layers.entries.set(name, entries)
    }
    return layers
  } finally {
    await context.remove()
  }
}

export const second = async (cwd: string, more: Partial<OverlayOptions> = {}) =>
  (await build(cwd, more)).entries.get('part_2.tar')!
export const attributes = (path: string, mode: number) => ({
  path,
  mode,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  xattrs: new Map(),
})

export async function refused(
  work: Promise<unknown>,
  code: string,
  message: RegExp,
  hint?: RegExp,
  file?: string,
): Promise<void> {
  await assert.rejects(work, (error: FleetsieError) => {
    assert.ok(error instanceof FleetsieError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    if (hint) assert.match(error.hint ?? '', hint)
    if (file) assert.equal(error.file, file)
    return true
  })
}
