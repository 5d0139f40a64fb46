/** Copies the project's files into the folder of a run, and proves on the way that they are what the key was made of. */
import { createWriteStream } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Source } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { withContent } from '../overlay/content.ts'
import { sourcePrefix } from '../overlay/parts.ts'
import type { SeedFile } from './seed.ts'
import type { CustomizeFiles } from './sources.ts'

export class ProjectFiles {
  private readonly sources: Map<string, Source>
  private readonly options: CustomizeFiles

  constructor(sources: readonly Source[], options: CustomizeFiles) {
    this.sources = new Map(sources.map((source) => [source.path, source]))
    this.options = options
  }

  /** The stage's `files`, each with the path that the user wrote, as copies in `folder`. Fails with E_INPUT, or E_UNSAFE for a private key. */
  async files(folder: string): Promise<SeedFile[]> {
    const { files } = this.options
    if (files === undefined) return []
    const allowed = new Set(this.options.allowPrivateKeys)
    const result: SeedFile[] = []
    const add = async (path: string, source: Source | undefined): Promise<void> => {
      if (source?.type === 'symlink') result.push({ path, mode: 0o777, content: { target: source.target } })
      if (source?.type !== 'file') return
      const from = join(folder, `${result.length}`)
      const size = await copy(source, from, allowed)
      result.push({ path, mode: source.mode, content: { from, size } })
    }
    await mkdir(folder, { recursive: true })
    if (typeof files === 'string') {
      const prefix = `${sourcePrefix(files)}/`
      for (const [path, source] of this.sources) {
        if (path.startsWith(prefix)) await add(path.slice(prefix.length), source)
      }
    } else {
      for (const [path, file] of Object.entries(files)) {
        await add(path.replace(/^\/+/, ''), this.sources.get(sourcePrefix(file)))
      }
    }
    return result
  }

  /** Puts script and packages where `inside` looks for them. Answers whether the script names its interpreter. */
  async forRun(folder: string): Promise<{ byShell: boolean }> {
    await mkdir(join(folder, 'packages'), { recursive: true })
    for (const [index, path] of (this.options.packages ?? []).entries()) {
      const number = String(index + 1).padStart(4, '0')
      await this.copyNamed(path, join(folder, 'packages', `${number}_${basename(path)}`))
    }
    if (this.options.script === undefined) return { byShell: true }
    const script = join(folder, 'script')
    const start = await this.copyNamed(this.options.script, script)
    await chmod(script, 0o755)
    return { byShell: !start.startsWith('#!') && !start.startsWith('\x7fELF') }
  }

  /** Answers with the file's first bytes. */
  private async copyNamed(path: string, to: string): Promise<string> {
    const source = this.sources.get(sourcePrefix(path))
    if (source?.type !== 'file') throw new FleetsieError('E_BUG', `${path} is not among the sources`)
    await mkdir(dirname(to), { recursive: true })
    let start = ''
    await copy(source, to, new Set([source.path]), (piece) => {
      start ||= piece.toString('latin1', 0, 4)
    })
    return start
  }
}

/** Answers with the size. */
async function copy(
  source: Source & { type: 'file' },
  to: string,
  allowed: ReadonlySet<string>,
  look: (piece: Buffer) => void = () => {},
): Promise<number> {
  const unsaid = { uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map<string, Buffer>() }
  const entry = { ...unsaid, type: 'file' as const, path: source.path, mode: source.mode, size: 0 }
  let size = 0
  for await (const { content } of withContent([{ entry, source }], allowed)) {
    await pipeline(
      async function* () {
        for await (const piece of content ?? []) {
          size += piece.length
          look(Buffer.from(piece))
          yield piece
        }
      },
      createWriteStream(to, { mode: 0o644 }),
    )
  }
  return size
}
