/**
 * SPDX 2.3 in JSON (spdx/spdx-spec, schemas/spdx-schema-2-3.json): the image, and each package of its database.
 * Package URLs follow package-url/purl-spec, type deb.
 */
import { createHash } from 'node:crypto'
import { isoTime } from './dates.ts'
import type { DpkgPackage } from './dpkg.ts'
import { type JsonObject, sortedJson } from './json.ts'

export interface Sbom {
  /** Name of the document and of the image in it. */
  name: string
  image: { fileName: string; sha256: string }
  /** From os-release. `id` such as debian or raspbian: the namespace of the package URLs. */
  distribution?: { id: string; versionId?: string; prettyName?: string }
  packages: readonly DpkgPackage[]
  /** Seconds since 1970. */
  epoch: number
  /** Name and version of what wrote the document. */
  tool: { name: string; version: string }
}

const imageId = 'SPDXRef-Image'
const noAssertion = {
  copyrightText: 'NOASSERTION',
  downloadLocation: 'NOASSERTION',
  filesAnalyzed: false,
  licenseConcluded: 'NOASSERTION',
  licenseDeclared: 'NOASSERTION',
}

/** Writes the document. The namespace is made of the content's digest: another content never has the same one. */
export function formatSbom(sbom: Sbom): string {
  const packages = [imagePackage(sbom), ...sbom.packages.map((one) => debianPackage(one, sbom.distribution))]
  const content = {
    SPDXID: 'SPDXRef-DOCUMENT',
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    name: sbom.name,
    creationInfo: {
      created: isoTime(sbom.epoch),
      creators: [`Tool: ${sbom.tool.name}-${sbom.tool.version}`],
    },
    packages,
    relationships: [
      relationship('SPDXRef-DOCUMENT', 'DESCRIBES', imageId),
      ...packages.slice(1).map(({ SPDXID }) => relationship(imageId, 'CONTAINS', SPDXID)),
    ],
  }
  return sortedJson({ ...content, documentNamespace: namespace(sbom.name, JSON.stringify(content)) })
}

/** The form that the specification gives to creators without a web site (2.3, section 6.5). */
function namespace(name: string, content: string): string {
  const bytes = createHash('sha256').update(content).digest().subarray(0, 16)
  // Version 8 and the RFC 9562 variant: a UUID whose bits are the writer's own.
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const uuid = bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  return `https://spdx.org/spdxdocs/${encode(name)}-${uuid}`
}

function imagePackage({ name, image, distribution, packages }: Sbom): JsonObject & { SPDXID: string } {
  return {
    ...noAssertion,
    SPDXID: imageId,
    name,
    packageFileName: image.fileName,
    checksums: [{ algorithm: 'SHA256', checksumValue: image.sha256 }],
    primaryPackagePurpose: 'OPERATING_SYSTEM',
    supplier: 'NOASSERTION',
    summary: distribution?.prettyName,
    versionInfo: distribution?.versionId,
    comment: packages.length === 0 ? 'The image has no package database.' : undefined,
  }
}

function debianPackage(
  one: DpkgPackage,
  distribution: Sbom['distribution'],
): JsonObject & { SPDXID: string } {
  return {
    ...noAssertion,
    SPDXID: elementId(`Package-${one.name}-${one.architecture}-${one.version}`),
    name: one.name,
    versionInfo: one.version,
    supplier: supplier(one.maintainer),
    homepage: one.homepage && /^https?:\/\/[^\s"<>\\^`{|}]+$/.test(one.homepage) ? one.homepage : undefined,
    sourceInfo: `built from source package ${one.source.name} ${one.source.version}`,
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: packageUrl(one, distribution),
      },
    ],
  }
}

/** An identifier holds letters, digits, dots and dashes only; what was replaced is told apart by a digest. */
function elementId(text: string): string {
  const plain = text.replace(/[^A-Za-z0-9.-]/g, '-')
  if (plain === text) return `SPDXRef-${text}`
  return `SPDXRef-${plain}-${createHash('sha256').update(text).digest('hex').slice(0, 8)}`
}

/** `Name <address>` as SPDX says it: a group by the words that Debian's teams use, else a person. */
function supplier(maintainer: string): string {
  const match = /^"?(.*?)"?\s*(?:<([^<>\s]+)>)?$/.exec(maintainer)
  const name = match?.[1]?.trim()
  if (!name) return 'NOASSERTION'
  const kind = /\b(team|group|maintainers?|developers?|packagers?|project|task force|authors|lists?)\b/i.test(
    maintainer,
  )
    ? 'Organization'
    : 'Person'
  return `${kind}: ${name}${match?.[2]?.includes('@') ? ` (${match[2]})` : ''}`
}

function packageUrl(one: DpkgPackage, distribution: Sbom['distribution']): string {
  const { id, versionId } = distribution ?? { id: 'debian' }
  const { name, version } = one.source
  const upstream = version === one.version ? name : `${name}@${version}`
  // Qualifiers come in the order of their names.
  const qualifiers = [
    `arch=${encode(one.architecture)}`,
    versionId === undefined ? [] : `distro=${encode(`${id}-${versionId}`)}`,
    upstream === one.name ? [] : `upstream=${encode(upstream)}`,
  ].flat()
  return `pkg:deb/${encode(id.toLowerCase())}/${encode(one.name)}@${encode(one.version)}?${qualifiers.join('&')}`
}

/** Percent-encoding that leaves letters, digits and `-._~` only, plus the colon that package URLs keep. */
function encode(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%3A', ':')
}

function relationship(from: string, relationshipType: string, to: string): JsonObject {
  return { spdxElementId: from, relationshipType, relatedSpdxElement: to }
}
