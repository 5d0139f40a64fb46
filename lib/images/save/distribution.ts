/** What an image says of itself: its distribution and its packages. */
import type { Sbom } from '../../formats/spdx.ts'
import { parseOsRelease } from '../os/os-release.ts'
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
    return { ...distributionOf(release), ...(dpkgStatus ? { dpkgStatus } : {}) }
  }
  return {}
}

function distributionOf(release: Buffer): Pick<Distribution, 'distribution'> {
  const fields = parseOsRelease(release.toString('utf8'))
  const id = fields.get('ID')
  if (!id) return {}
  const versionId = fields.get('VERSION_ID')
  const prettyName = fields.get('PRETTY_NAME')
  return {
    distribution: { id, ...(versionId ? { versionId } : {}), ...(prettyName ? { prettyName } : {}) },
  }
}
