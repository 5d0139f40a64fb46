/** Whether a file that a run touched is still what the image has. Times do not count. */
import type { FileHandle } from 'node:fs/promises'
import { deviceOf } from '../ext/inode.ts'
import { ExtReader } from '../ext/reader.ts'
import { toBytes, type Volume } from '../volume.ts'
import { ContentComparer } from '../volume-content.ts'
import { readRange } from './content.ts'
import type { UpperNode } from './upper.ts'

/** `id` is what the image has in the node's place. */
export async function sameNode(
  { volume, tar, fat }: { volume: Volume; tar: FileHandle; fat: boolean },
  node: UpperNode,
  id: number,
): Promise<boolean> {
  const lower = volume.node(id)
  if (lower.type !== node.type) return false
  if (!fat) {
    if (node.type !== 'symlink' && lower.mode !== node.mode) return false
    if (lower.uid !== node.uid || lower.gid !== node.gid) return false
    if (volume instanceof ExtReader && !sameXattrs(volume.xattrs(volume.inode(id)), node.xattrs)) return false
  }
  switch (node.type) {
    case 'file':
      return (
        lower.size === node.size && (await sameContent(volume, id, readRange(tar, node.contentAt, node.size)))
      )
    case 'symlink':
      return volume.target(id) === toBytes(node.target)
    case 'character':
    case 'block': {
      const device = volume instanceof ExtReader ? deviceOf(volume.inode(id)) : undefined
      return device?.major === node.major && device.minor === node.minor
    }
    default:
      return true
  }
}

/** An overlay of a user namespace does not see trusted.*, and so does not carry it on. */
function sameXattrs(lower: Map<string, Buffer>, upper: Map<string, Buffer>): boolean {
  const visible = [...lower].filter(([name]) => !name.startsWith('trusted.'))
  return visible.length === upper.size && visible.every(([name, value]) => upper.get(name)?.equals(value))
}

async function sameContent(volume: Volume, id: number, content: AsyncIterable<Buffer>): Promise<boolean> {
  const comparer = new ContentComparer(volume, id)
  for await (const bytes of content) if (!comparer.update(bytes)) return false
  return comparer.same()
}
