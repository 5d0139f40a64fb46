import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parseSums } from '../../../../lib/formats/sums.ts'
import {
  imagerFor,
  readArtifacts,
  type ShownByImager,
  sbomFor,
  writeArtifacts,
} from '../../../../lib/images/signing/artifacts.ts'
import { makeRelease } from '../../../helpers/release.ts'

const root = mkdtempSync(join(tmpdir(), 'fleetsie-artifacts-'))
after(() => rmSync(root, { recursive: true }))
const folder = join(root, 'one')
const release = await makeRelease(folder, Buffer.from('image'))

test('the list names every file with its kind, size and digest, and nothing else lies there', async () => {
  const { stem, files } = await readArtifacts(folder)
  assert.equal(stem, 'sample_fleetsie')
  assert.deepEqual(
    files
      .map(({ name }) => name)
      .concat('artifacts.json')
      .sort(),
    readdirSync(folder).sort(),
  )
  for (const { name, sha256, size } of files) {
    const path = join(folder, name)
    assert.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), sha256)
    assert.equal(statSync(path).size, size)
  }
  assert.deepEqual(
    files.map(({ kind }) => kind),
    ['image', 'bmap', 'sbom', 'imager', 'sums', 'provenance'],
  )
})

test('the sums name what a user takes home, and the statement names them too', async () => {
  const names = parseSums(readFileSync(join(folder, 'sample_fleetsie.sha256sums'), 'utf8')).map(
    ({ name }) => name,
  )
  assert.deepEqual(
    names,
    ['.imager.json', '.img.bmap', '.img.xz', '.spdx.json'].map((suffix) => `sample_fleetsie${suffix}`),
  )
  const statement = JSON.parse(readFileSync(join(folder, 'sample_fleetsie.provenance.json'), 'utf8'))
  assert.deepEqual(
    statement.subject.map(({ name }: { name: string }) => name),
    [...names, 'sample_fleetsie.sha256sums'].sort(),
  )
  assert.equal(statement.predicate.buildDefinition.resolvedDependencies[0].digest.sha256, 'e'.repeat(64))
})

test('a release that is not for the Imager has no file for it, and nothing names one', async () => {
  const other = mkdtempSync(join(root, 'plain-'))
  const { imager: _, ...plain } = release
  const { stem, files } = await writeArtifacts(other, plain)
  assert.deepEqual(
    files.map(({ kind }) => kind),
    ['image', 'bmap', 'sbom', 'sums', 'provenance'],
  )
  const written = files.slice(2).map(({ name }) => name)
  assert.deepEqual(readdirSync(other).sort(), [...written, 'artifacts.json'].sort())
  for (const name of readdirSync(other)) {
    assert.ok(!readFileSync(join(other, name), 'utf8').includes(`${stem}.imager.json`), name)
  }
})

test('two releases of the same facts are the same bytes', async () => {
  const other = join(root, 'two')
  await makeRelease(other, Buffer.from('image'))
  for (const name of readdirSync(folder)) {
    assert.deepEqual(readFileSync(join(other, name)), readFileSync(join(folder, name)), name)
  }
})

test('the Imager is told where the image will be published, once that is known', () => {
  const entry = (shown: ShownByImager = {}) =>
    JSON.parse(imagerFor(release, { ...release.imager!, shown })).os_list[0]
  const url = (baseUrl?: string) => entry({ name: 'Mine', ...(baseUrl ? { baseUrl } : {}) }).url
  assert.equal(url(), 'sample_fleetsie.img.xz')
  assert.equal(url('https://example.org/images/'), 'https://example.org/images/sample_fleetsie.img.xz')
  assert.equal(entry().description, 'Debian GNU/Linux 12 (bookworm)')
  assert.equal(entry().extract_sha256, 'd'.repeat(64))
})

test('an image without packages, and of no known system, has an SBOM and an Imager entry all the same', () => {
  const { dpkgStatus: _, distribution: __, ...bare } = release
  assert.equal(JSON.parse(sbomFor(bare)).packages.length, 1)
  assert.equal(JSON.parse(imagerFor(bare, release.imager!)).os_list[0].description, 'sample_fleetsie')
})

test('a damaged package database names its line', async () => {
  const dpkgStatus = Buffer.from('Package: a\nwhat\n')
  const other = mkdtempSync(join(root, 'bad-'))
  await assert.rejects(writeArtifacts(other, { ...release, dpkgStatus }), {
    code: 'E_DAMAGED',
    message: /line 2/,
  })
})
