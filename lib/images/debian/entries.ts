/** Entries of a layer from texts and links, with the folders that lead to them. */
import type { LayerAttributes, LayerInput } from '../../formats/layer.ts'
import type { TextFiles } from './configuration.ts'

/** Owner root; the time is left to whoever applies the layer. */
function attributes(path: string, mode: number): LayerAttributes {
  return { path, mode, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map() }
}

export function textEntry(path: string, content: string, mode = 0o644): LayerInput {
  const bytes = Buffer.from(content)
  return { entry: { ...attributes(path, mode), type: 'file', size: bytes.length }, content: once(bytes) }
}

export function linkEntry(path: string, target: string): LayerInput {
  return { entry: { ...attributes(path, 0o777), type: 'symlink', target } }
}

export function textEntries(files: TextFiles): LayerInput[] {
  const own = [...files].map(([path, { content, mode }]) => textEntry(path, content, mode))
  return [...folderEntries(files.keys()), ...own]
}

/** Every folder that leads to one of `paths`. */
export function folderEntries(paths: Iterable<string>): LayerInput[] {
  const folders = new Set<string>()
  for (const path of paths) {
    const parts = path.split('/').slice(0, -1)
    for (const [index] of parts.entries()) folders.add(parts.slice(0, index + 1).join('/'))
  }
  return [...folders].map((path) => ({ entry: { ...attributes(path, 0o755), type: 'directory' } }))
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  if (bytes.length > 0) yield bytes
}
