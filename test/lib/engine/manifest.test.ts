import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diffManifests, type Manifest, type ManifestChange } from '../../../lib/engine/manifest.ts'

const rows: { title: string; before: Manifest; after: Manifest; changes: ManifestChange[] }[] = [
  {
    title: 'equal manifests do not differ',
    before: { b: '1', a: '2' },
    after: { a: '2', b: '1' },
    changes: [],
  },
  {
    title: 'changed, new and gone parts are told, sorted by bytes',
    before: { z: '1', é: '1', gone: 'x' },
    after: { z: '2', é: '2', Z: 'y' },
    changes: [
      { name: 'Z', after: 'y' },
      { name: 'gone', before: 'x' },
      { name: 'z', before: '1', after: '2' },
      { name: 'é', before: '1', after: '2' },
    ],
  },
  {
    title: 'a part may have the name of something that every object has',
    before: {},
    after: { constructor: 'x' },
    changes: [{ name: 'constructor', after: 'x' }],
  },
  {
    title: 'an empty value is not an absent one',
    before: { a: '' },
    after: {},
    changes: [{ name: 'a', before: '' }],
  },
]

for (const { title, before, after, changes } of rows) {
  test(title, () => assert.deepEqual(diffManifests(before, after), changes))
}
