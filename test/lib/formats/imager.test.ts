import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatImagerList, type ImagerEntry } from '../../../lib/formats/imager.ts'

const entry: ImagerEntry = {
  name: 'Sample',
  description: 'A sample',
  url: 'https://example.org/sample_fleetsie.img.xz',
  image: { size: 1000, sha256: 'a'.repeat(64) },
  disk: { size: 4096, sha256: 'b'.repeat(64) },
  epoch: 1_700_000_000,
  devices: ['pi5-64bit', 'pi4-64bit'],
}

test('has the members that os-list-schema.json of the Imager requires, of the types that it wants', () => {
  const { os_list } = JSON.parse(formatImagerList(entry))
  assert.deepEqual(os_list, [
    {
      name: 'Sample',
      description: 'A sample',
      icon: '',
      url: 'https://example.org/sample_fleetsie.img.xz',
      extract_size: 4096,
      extract_sha256: 'b'.repeat(64),
      image_download_size: 1000,
      image_download_sha256: 'a'.repeat(64),
      release_date: '2023-11-14',
      devices: ['pi5-64bit', 'pi4-64bit'],
    },
  ])
})

test('names the architecture only when it is told', () => {
  assert.equal('architecture' in JSON.parse(formatImagerList(entry)).os_list[0], false)
  const { os_list } = JSON.parse(formatImagerList({ ...entry, architecture: 'armv8' }))
  assert.equal(os_list[0].architecture, 'armv8')
})

test('a size or a digest that the Imager would refuse is a fault of the caller', () => {
  for (const disk of [
    { ...entry.disk, size: 0 },
    { ...entry.disk, size: 0.5 },
    { ...entry.disk, sha256: 'x' },
  ]) {
    assert.throws(() => formatImagerList({ ...entry, disk }), { code: 'E_BUG' })
  }
})
