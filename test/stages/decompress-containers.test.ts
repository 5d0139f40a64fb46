/** decompress: files that are packed by gzip, zstd or zip, or not at all, whatever their names say. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { chunksDigest } from '../../lib/images/image.ts'
import { halves, image, padding, run, tool, xz, zip } from './decompress-rig.ts'

const others: { name: string; kind: string; file: () => Buffer }[] = [
  { name: 'os.img.gz', kind: 'gz', file: () => tool('gzip', ['-c']) },
  {
    name: 'two-members.img.gz',
    kind: 'gz',
    file: () => Buffer.concat(halves.map((half) => tool('gzip', ['-c'], half))),
  },
  { name: 'padded.img.gz', kind: 'gz', file: () => Buffer.concat([tool('gzip', ['-c']), padding]) },
  { name: 'os.img.zst', kind: 'zst', file: () => tool('zstd', ['-q', '-c']) },
  {
    name: 'two-frames.img.zst',
    kind: 'zst',
    file: () => Buffer.concat(halves.map((half) => tool('zstd', ['-q', '-c'], half))),
  },
  {
    name: 'deflated.zip',
    kind: 'zip',
    file: () => zip('ZIP_DEFLATED', ['folder/readme.txt', 'folder/os.IMG']),
  },
  { name: 'stored.zip', kind: 'zip', file: () => zip('ZIP_STORED', ['os.img']) },
  { name: 'os.img', kind: 'raw', file: () => image },
  { name: 'named-by-mistake.zip', kind: 'xz', file: () => xz([]) },
  { name: 'a.img', kind: 'gz', file: () => tool('gzip', ['-c']) },
]
for (const { name, kind, file } of others) {
  test(`${name} is a ${kind} file and becomes the image`, async () => {
    const content = file()
    const { disk, manifest, declared } = await run(name, content)
    assert.ok(disk.equals(image))
    const sha256 = createHash('sha256').update(content).digest('hex')
    assert.deepEqual(manifest.container, { kind, sha256 })
    assert.equal(manifest.size, image.length)
    assert.deepEqual(declared, { chunks: chunksDigest(manifest.chunks) })
  })
}
