/** Writes a layer of files, folders and links into a mounted tree. Links of the tree are followed inside it, never out. */
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, lstat, mkdir, open, readFile, readlink, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { type LayerEntry, readLayer } from '../../formats/layer.ts'

/** As many as Linux follows in one path. */
const maxLinks = 40

/** Answers which paths were written; what is there as the layer has it is left alone. */
export async function writeLayerInto(top: string, layer: string): Promise<string[]> {
  const written: string[] = []
  for await (const { entry, content } of readLayer(createReadStream(layer))) {
    if (await writeEntry(top, entry, content)) written.push(entry.path)
  }
  return written
}

async function writeEntry(top: string, entry: LayerEntry, content: AsyncIterable<Buffer>): Promise<boolean> {
  switch (entry.type) {
    case 'directory': {
      const path = await inside(top, entry.path)
      if ((await lstat(path).catch(() => undefined))?.isDirectory()) return false
      await mkdir(path)
      await chmod(path, entry.mode)
      return true
    }
    case 'symlink': {
      const path = await placeOf(top, entry.path)
      if ((await readlink(path).catch(() => undefined)) === entry.target) return false
      await replace(path, (part) => symlink(entry.target, part))
      return true
    }
    case 'file': {
      const path = await placeOf(top, entry.path)
      const bytes = await bytesOf(content)
      const present = await lstat(path).catch(() => undefined)
      if (present?.isFile() && (present.mode & 0o7777) === entry.mode && bytes.equals(await readFile(path))) {
        return false
      }
      await replace(path, async (part) => {
        const file = await open(part, 'wx', entry.mode)
        try {
          await file.writeFile(bytes)
          await file.chmod(entry.mode)
          await file.sync()
        } finally {
          await file.close()
        }
      })
      return true
    }
    default:
      throw new FleetsieError('E_BUG', `${entry.path}: a ${entry.type} cannot be installed`)
  }
}

/** Whoever reads it meanwhile sees the old or the new. */
async function replace(path: string, make: (part: string) => Promise<void>): Promise<void> {
  const part = join(dirname(path), `.fleetsie-${randomBytes(4).toString('hex')}`)
  try {
    await make(part)
    await rename(part, path)
  } finally {
    await rm(part, { force: true })
  }
}

/** Where an entry of this path goes: links on the way are followed, not the last one. */
async function placeOf(top: string, path: string): Promise<string> {
  const cut = path.lastIndexOf('/')
  return join(await inside(top, path.slice(0, Math.max(cut, 0))), path.slice(cut + 1))
}

/** Where `path` leads in the tree, as a process with its root at `top` sees it. */
async function inside(top: string, path: string): Promise<string> {
  const rest = path.split('/')
  const done: string[] = []
  for (let links = 0; rest.length > 0; ) {
    const name = rest.shift()!
    if (name === '' || name === '.') continue
    if (name === '..') {
      done.pop()
      continue
    }
    const target = await readlink(join(top, ...done, name)).catch(() => undefined)
    if (target === undefined) {
      done.push(name)
      continue
    }
    if (++links > maxLinks)
      throw new FleetsieError('E_INPUT', 'links lead in a circle', { file: join(top, path) })
    if (target.startsWith('/')) done.length = 0
    rest.unshift(...target.split('/'))
  }
  return join(top, ...done)
}

async function bytesOf(content: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of content) parts.push(part)
  return Buffer.concat(parts)
}
