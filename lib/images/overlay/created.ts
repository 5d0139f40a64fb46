/** What an mtree file adds to an overlay: folders, links, devices and fifos, which need no content. */
import { FleetsieError } from '../../errors.ts'
import type { LayerAttributes, LayerEntry } from '../../formats/layer.ts'
import type { MtreeEntry } from '../../formats/mtree.ts'

/** Nothing for an optional line that creates nothing. Fails with E_INPUT. */
export function createdEntry(line: MtreeEntry): LayerEntry | undefined {
  const fail = (message: string, hint: string): FleetsieError =>
    new FleetsieError('E_INPUT', `line ${line.line}: ${JSON.stringify(line.path)} ${message}`, { hint })
  const attributes = (mode: number | undefined): LayerAttributes => {
    if (mode === undefined) throw fail('needs a mode', 'add `mode=0600` or another')
    const { path, uid = 0, gid = 0, mtime = { seconds: 0, nanoseconds: 0 }, xattrs } = line
    return { path, mode, uid, gid, mtime, xattrs }
  }
  if (line.link !== undefined && line.type !== undefined && line.type !== 'symlink') {
    throw fail('is no link, but has a target', 'write `type=link`, or leave `link` out')
  }
  if (line.device && line.type !== 'character' && line.type !== 'block') {
    throw fail(
      'is no device, but has device numbers',
      'write `type=char` or `type=block`, or leave `device` out',
    )
  }
  switch (line.type) {
    case 'directory':
      return { ...attributes(line.mode ?? 0o755), type: 'directory' }
    case 'symlink':
      if (line.link === undefined) throw fail('is a link without a target', 'add `link=TARGET`')
      return { ...attributes(line.mode ?? 0o777), type: 'symlink', target: line.link }
    case 'fifo':
      return { ...attributes(line.mode), type: 'fifo' }
    case 'character':
    case 'block':
      if (!line.device) throw fail('is a device without numbers', 'add `device=native,MAJOR,MINOR`')
      return { ...attributes(line.mode), type: line.type, ...line.device }
  }
  if (line.optional) return undefined
  throw fail('is not in the overlay', 'add the file, remove the line, or write `optional`')
}
