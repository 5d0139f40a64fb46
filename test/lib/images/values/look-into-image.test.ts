import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, test } from 'node:test'
import type { ByteRange } from '../../../../lib/images/byte-ranges.ts'
import { readPartitionTable } from '../../../../lib/images/partitions.ts'
import { checkImageValues, hostnameOf } from '../../../../lib/images/values/look-into-image.ts'
import { readSets, valuesOfSets } from '../../../../lib/images/values/sets.ts'
import { missing } from '../../../helpers/disks.ts'
import { debianFiles, RootDisk } from '../../../helpers/root-disks.ts'

const skip = missing('debugfs', 'mke2fs', 'mkfs.fat')
const disks: RootDisk[] = []
after(() => {
  for (const disk of disks) disk.remove()
})
const { signal } = new AbortController()

async function packed(files: Record<string, string>) {
  const disk = await RootDisk.make(files)
  disks.push(disk)
  const table = await readPartitionTable(disk.path)
  const bytes = disk.bytes()
  const asked: ByteRange[] = []
  async function* read(ranges: readonly ByteRange[]): AsyncGenerator<{ at: number; bytes: Buffer }> {
    asked.push(...ranges)
    for (const { offset, length } of ranges) {
      for (let at = offset; at < offset + length; at += 100_000) {
        yield { at, bytes: bytes.subarray(at, Math.min(at + 100_000, offset + length)) }
      }
    }
  }
  return { disk, asked, image: { size: bytes.length, table, read } }
}

const values = async (...sets: string[]) => [
  valuesOfSets(await readSets(sets, { cwd: '/', stdin: [] as never })),
]

test('an image that is still packed says what it has, and is unpacked only where it has to be', {
  skip,
}, async () => {
  const { disk, asked, image } = await packed(debianFiles)
  const before = readdirSync(disk.folder)
  await checkImageValues(image, await values('hostname=x', 'user=anna', 'timezone=America/Halifax'), {
    tmp: disk.folder,
    signal,
  })
  assert.equal(await hostnameOf(image, { tmp: disk.folder, signal }), 'debian')
  await assert.rejects(checkImageValues(image, await values('wifi-ssid=x'), { tmp: disk.folder, signal }), {
    code: 'E_INPUT',
    message: /nothing on the image/,
  })
  assert.ok(asked.length > 0)
  assert.ok(asked.every(({ offset, length }) => offset + length <= image.size && length > 0))
  assert.deepEqual(readdirSync(disk.folder), before)
})

test('an image whose parts cannot be read says so', { skip }, async () => {
  const { disk, image } = await packed(debianFiles)
  const broken = {
    ...image,
    // biome-ignore lint/correctness/useYield: it fails before
    async *read(): AsyncGenerator<never> {
      throw new Error('no such part')
    },
  }
  await assert.rejects(hostnameOf(broken, { tmp: disk.folder, signal }), /no such part/)
  assert.ok(!readdirSync(disk.folder).some((name) => name.startsWith('look-')))
})
