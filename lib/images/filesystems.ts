/** Which filesystem a partition holds, found in its superblock. Names, labels and ids are spelled as blkid does. */
import type { ReadAt } from '../formats/random-access.ts'
import { probeExt } from './superblocks/ext.ts'
import { probeFat } from './superblocks/fat.ts'
import type { Filesystem } from './superblocks/filesystem.ts'
import { probeNtfs } from './superblocks/ntfs.ts'
import { probeBtrfs, probeF2fs, probeLuks, probeSquashfs, probeSwap, probeXfs } from './superblocks/simple.ts'

const probes = [probeXfs, probeSquashfs, probeNtfs, probeFat, probeSwap, probeExt, probeBtrfs, probeF2fs]

/**
 * What the partition that `read` reads holds; a `read` past its end must give nothing. With the marks of more than one
 * filesystem it holds none, as for blkid: writing to the wrong one would destroy the other; `warn` says so.
 */
export async function identifyFilesystem(read: ReadAt, warn?: (line: string) => void): Promise<Filesystem> {
  // What is inside is encrypted: any other mark there is chance.
  const encrypted = await probeLuks(read)
  if (encrypted) return encrypted
  const found: Filesystem[] = []
  for (const probe of probes) {
    const filesystem = await probe(read)
    if (filesystem) found.push(filesystem)
  }
  const [only, ...others] = found
  if (only && others.length === 0) return only
  if (only) {
    const names = found.map(({ filesystem }) => filesystem).join(' and ')
    warn?.(`has the marks of ${names}, so it is taken for none of them; \`wipefs\` removes an old one`)
  }
  return { filesystem: null, label: null, uuid: null }
}
