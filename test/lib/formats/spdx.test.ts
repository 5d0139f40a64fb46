import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DpkgPackage } from '../../../lib/formats/dpkg.ts'
import { formatSbom, type Sbom } from '../../../lib/formats/spdx.ts'

const packages: DpkgPackage[] = [
  {
    name: 'libstdc++6',
    version: '1:12.2.0-14+deb12u1~x',
    architecture: 'amd64',
    source: { name: 'gcc-12', version: '12.2.0-14' },
    maintainer: 'Debian GCC Maintainers <debian-gcc@lists.debian.org>',
    homepage: 'http://gcc.gnu.org/',
  },
  {
    name: 'adduser',
    version: '3.134',
    architecture: 'all',
    source: { name: 'adduser', version: '3.134' },
    maintainer: '"Marc Häber" <mh@example.org>',
    homepage: 'javascript:alert(1)',
  },
]
const sbom: Sbom = {
  name: 'sample_fleetsie',
  image: { fileName: 'sample_fleetsie.img.xz', sha256: 'a'.repeat(64) },
  distribution: { id: 'debian', versionId: '12', prettyName: 'Debian GNU/Linux 12 (bookworm)' },
  packages,
  epoch: 1_700_000_000,
  tool: { name: 'fleetsie', version: '0.1.0' },
}

// biome-ignore lint/suspicious/noExplicitAny: the test looks into a document of unknown shape.
const write = (change: Partial<Sbom> = {}): any => JSON.parse(formatSbom({ ...sbom, ...change }))

/** Members that schemas/spdx-schema-2-3.json allows (`additionalProperties` is false), and those that it requires. */
const schema = {
  document: {
    required: ['SPDXID', 'creationInfo', 'dataLicense', 'name', 'spdxVersion', 'documentNamespace'],
    allowed:
      'SPDXID annotations comment creationInfo dataLicense documentDescribes documentNamespace externalDocumentRefs files hasExtractedLicensingInfos name packages relationships revieweds snippets spdxVersion',
  },
  package: {
    required: ['SPDXID', 'downloadLocation', 'name'],
    allowed:
      'SPDXID annotations attributionTexts builtDate checksums comment copyrightText description downloadLocation externalRefs filesAnalyzed hasFiles homepage licenseComments licenseConcluded licenseDeclared licenseInfoFromFiles name originator packageFileName packageVerificationCode primaryPackagePurpose releaseDate sourceInfo summary supplier validUntilDate versionInfo',
  },
  relationship: {
    required: ['spdxElementId', 'relatedSpdxElement', 'relationshipType'],
    allowed: 'spdxElementId comment relatedSpdxElement relationshipType',
  },
  externalRef: {
    required: ['referenceCategory', 'referenceLocator', 'referenceType'],
    allowed: 'comment referenceCategory referenceLocator referenceType',
  },
}

function fits(value: object, { required, allowed }: { required: string[]; allowed: string }): void {
  for (const name of required) assert.ok(name in value, `${name} is missing`)
  for (const name of Object.keys(value))
    assert.ok(allowed.split(' ').includes(name), `${name} is not allowed`)
}

test('has the members that the schema of SPDX 2.3 requires, and no others than it allows', () => {
  const document = write()
  fits(document, schema.document)
  assert.equal(document.spdxVersion, 'SPDX-2.3')
  assert.equal(document.dataLicense, 'CC0-1.0')
  assert.match(document.creationInfo.created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  for (const one of document.packages) {
    fits(one, schema.package)
    assert.match(one.SPDXID, /^SPDXRef-[A-Za-z0-9.-]+$/)
    for (const reference of one.externalRefs ?? []) fits(reference, schema.externalRef)
  }
  for (const one of document.relationships) fits(one, schema.relationship)
})

test('the document describes the image, which contains each package; every identifier is defined once', () => {
  const { packages, relationships } = write()
  const ids = packages.map(({ SPDXID }: { SPDXID: string }) => SPDXID)
  assert.equal(new Set(ids).size, 3)
  assert.deepEqual(
    relationships.map((one: Record<string, string>) => [
      one.spdxElementId,
      one.relationshipType,
      one.relatedSpdxElement,
    ]),
    [
      ['SPDXRef-DOCUMENT', 'DESCRIBES', 'SPDXRef-Image'],
      ['SPDXRef-Image', 'CONTAINS', ids[1]],
      ['SPDXRef-Image', 'CONTAINS', ids[2]],
    ],
  )
})

test('a package has a package URL, a supplier, and only a homepage that is one', () => {
  const [image, gcc, adduser] = write().packages
  assert.deepEqual(image.checksums, [{ algorithm: 'SHA256', checksumValue: 'a'.repeat(64) }])
  assert.equal(
    gcc.externalRefs[0].referenceLocator,
    'pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~x?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14',
  )
  assert.equal(
    adduser.externalRefs[0].referenceLocator,
    'pkg:deb/debian/adduser@3.134?arch=all&distro=debian-12',
  )
  assert.equal(gcc.supplier, 'Organization: Debian GCC Maintainers (debian-gcc@lists.debian.org)')
  assert.equal(adduser.supplier, 'Person: Marc Häber (mh@example.org)')
  assert.equal(gcc.homepage, 'http://gcc.gnu.org/')
  assert.equal(adduser.homepage, undefined)
})

test('the namespace follows the content: the same for the same, another for another', () => {
  const { documentNamespace } = write()
  assert.match(
    documentNamespace,
    /^https:\/\/spdx\.org\/spdxdocs\/sample_fleetsie-[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab]/,
  )
  assert.equal(write().documentNamespace, documentNamespace)
  assert.notEqual(
    write({ image: { ...sbom.image, sha256: 'b'.repeat(64) } }).documentNamespace,
    documentNamespace,
  )
  assert.notEqual(write({ packages: packages.slice(1) }).documentNamespace, documentNamespace)
})

test('names that differ only in what an identifier cannot hold stay apart', () => {
  const twins = ['a+b', 'a-b', 'a~b'].map((version) => ({ ...packages[1]!, version }))
  const ids = write({ packages: twins }).packages.map(({ SPDXID }: { SPDXID: string }) => SPDXID)
  assert.equal(new Set(ids).size, 4)
})

test('an image without a package database says so', () => {
  const { packages: only } = write({ packages: [] })
  assert.equal(only.length, 1)
  assert.match(only[0].comment, /no package database/)
})

test('refuses a time that no date can say', () => {
  for (const epoch of [-1, 0.5, 253_402_300_800]) assert.throws(() => write({ epoch }), { code: 'E_INPUT' })
})
