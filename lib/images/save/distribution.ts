/** What an image says of itself: its distribution and its packages. */
import type { Sbom } from '../../formats/spdx.ts'
import type { PartitionTable } from '../partition-table.ts'
import { exists, readFile } from '../read-tree.ts'

export interface Distribution {
  distribution?: NonNullable<Sbom['distribution']>
  dpkgStatus?: Buffer
}

/** Reads os-release and the dpkg database of the first partition that has an os-release. */
export async function readDistribution(disk: string, table: PartitionTable): Promise<Distribution> {
  for (const partition of table.partitions) {
    if (!partition.filesystem?.startsWith('ext')) continue
    const place = { disk, partition }
    const read = async (path: string) => ((await exists(place, path)) ? readFile(place, path) : undefined)
    const release = (await read('etc/os-release')) ?? (await read('usr/lib/os-release'))
    if (release === undefined) continue
    const dpkgStatus = await read('var/lib/dpkg/status')
    return { ...parseOsRelease(release.toString('utf8')), ...(dpkgStatus ? { dpkgStatus } : {}) }
  }
  return {}
}

/** os-release(5): assignments, the values in quotes or bare. */
function parseOsRelease(text: string): Pick<Distribution, 'distribution'> {
  const value = (name: string): string | undefined =>
    new RegExp(`^${name}=(?:"([^"\\n]*)"|'([^'\\n]*)'|([^\\s"']*))$`, 'm').exec(text)?.slice(1).find(Boolean)
  const id = value('ID')
  if (id === undefined) return {}
  const versionId = value('VERSION_ID')
  const prettyName = value('PRETTY_NAME')
  return {
    distribution: { id, ...(versionId ? { versionId } : {}), ...(prettyName ? { prettyName } : {}) },
  }
}
