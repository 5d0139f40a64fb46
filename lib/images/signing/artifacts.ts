/** The files of a release: their names, the list that `save` leaves of them, and the texts that go with an image. */
import { createHash } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { FleetsieError } from '../../errors.ts'
import { parseDpkgStatus } from '../../formats/dpkg.ts'
import { formatImagerList, type ImagerEntry } from '../../formats/imager.ts'
import { type Dependency, formatStatement } from '../../formats/in-toto.ts'
import { type JsonObject, parseJson, sortedJson } from '../../formats/json.ts'
import { formatSbom, type Sbom } from '../../formats/spdx.ts'
import { formatSums } from '../../formats/sums.ts'

const artifactKinds = ['image', 'bmap', 'sbom', 'imager', 'sums', 'provenance'] as const
export type ArtifactKind = (typeof artifactKinds)[number]

export interface ArtifactFile {
  name: string
  /** Lower-case hex. */
  sha256: string
  /** Bytes. */
  size: number
  kind: ArtifactKind
}

export interface ArtifactList {
  /** `NAME_fleetsie`: what all the names begin with. */
  stem: string
  files: ArtifactFile[]
}

/** What follows the stem. `provenance` is the unsigned statement, which stays in the store. */
export const artifactSuffixes: Record<ArtifactKind, string> = {
  image: '.img.xz',
  bmap: '.img.bmap',
  sbom: '.spdx.json',
  imager: '.imager.json',
  sums: '.sha256sums',
  provenance: '.provenance.json',
}
export const envelopeSuffix = '.intoto.json'
export const signatureSuffix = '.p7s'
export const authorityName = 'ca.crt'
const listName = 'artifacts.json'

/** What the Imager shows. `baseUrl` is where the files will be published. */
export type ShownByImager = Partial<Omit<ImagerEntry, 'url' | 'image' | 'disk' | 'epoch'>> & {
  baseUrl?: string
}

export interface ImagerRelease {
  shown: ShownByImager
  /** The image unpacked. */
  disk: { sha256: string; size: number }
}

/** What is known of an image besides its file and its bmap, which lie in the folder already. */
export interface Release {
  stem: string
  image: { sha256: string; size: number }
  bmap: { sha256: string; size: number }
  /** Seconds since 1970. */
  epoch: number
  /** /var/lib/dpkg/status of the image, if it has one. */
  dpkgStatus?: Buffer
  /** From the image's os-release, if it has one. */
  distribution?: NonNullable<Sbom['distribution']>
  /** For a release that the Raspberry Pi Imager can write. */
  imager?: ImagerRelease
  /** Every input of the build by digest. */
  dependencies: readonly Dependency[]
  /** The stages and options that were chosen, with no host path. */
  parameters: JsonObject
  /** Of this package. */
  version: string
}

/** The Debian packages of an image as SPDX 2.3. */
export function sbomFor(release: Release): string {
  return formatSbom({
    name: release.stem,
    image: { fileName: release.stem + artifactSuffixes.image, sha256: release.image.sha256 },
    packages: release.dpkgStatus ? parseDpkgStatus(release.dpkgStatus) : [],
    epoch: release.epoch,
    tool: { name: 'fleetsie', version: release.version },
    ...(release.distribution ? { distribution: release.distribution } : {}),
  })
}

/** An image as a repository of the Raspberry Pi Imager. */
export function imagerFor({ stem, ...release }: Release, imager: ImagerRelease): string {
  const { baseUrl, ...shown } = imager.shown
  const name = encodeURIComponent(stem + artifactSuffixes.image)
  return formatImagerList({
    name: stem,
    description: release.distribution?.prettyName ?? stem,
    devices: [],
    ...shown,
    url: baseUrl === undefined ? name : `${baseUrl.replace(/\/+$/, '')}/${name}`,
    image: release.image,
    disk: imager.disk,
    epoch: release.epoch,
  })
}

/** How the files were made, as an unsigned in-toto statement. A package URL is an identifier that nobody else can own. */
function statementFor(release: Release, subjects: readonly ArtifactFile[]): string {
  return formatStatement({
    subjects,
    buildType: 'pkg:npm/fleetsie#image/v1',
    parameters: release.parameters,
    dependencies: release.dependencies,
    builder: { id: 'pkg:npm/fleetsie', version: { fleetsie: release.version } },
  })
}

/** Writes SBOM, sums, statement, the Imager's entry if there is one, and the list of all into `folder`, which holds image and bmap. */
export async function writeArtifacts(folder: string, release: Release): Promise<ArtifactList> {
  const { stem } = release
  const files: ArtifactFile[] = []
  const add = (kind: ArtifactKind, file: { sha256: string; size: number }): void => {
    files.push({ name: stem + artifactSuffixes[kind], sha256: file.sha256, size: file.size, kind })
  }
  const write = async (kind: ArtifactKind, text: string): Promise<void> => {
    await writeFile(join(folder, stem + artifactSuffixes[kind]), text)
    add(kind, { sha256: createHash('sha256').update(text).digest('hex'), size: Buffer.byteLength(text) })
  }
  add('image', release.image)
  add('bmap', release.bmap)
  await write('sbom', sbomFor(release))
  if (release.imager) await write('imager', imagerFor(release, release.imager))
  await write('sums', formatSums(files))
  await write('provenance', statementFor(release, files))
  await writeFile(join(folder, listName), sortedJson({ stem, files: files.map((file) => ({ ...file })) }))
  return { stem, files }
}

const fileName = v.pipe(v.string(), v.maxBytes(255), v.regex(/^(?!\.{1,2}$)[^/\0]+$/))
const listSchema = v.object({
  stem: fileName,
  files: v.pipe(
    v.array(
      v.object({
        name: fileName,
        sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
        size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
        kind: v.picklist(artifactKinds),
      }),
    ),
    v.maxLength(1000),
  ),
})
const maxListBytes = 1024 * 1024

/** Reads the list that `writeArtifacts` left. Fails with E_INPUT if `folder` is not the result of `save`. */
export async function readArtifacts(folder: string): Promise<ArtifactList> {
  const file = join(folder, listName)
  const found = await stat(file).catch(() => undefined)
  if (!found?.isFile() || found.size > maxListBytes) {
    throw new FleetsieError('E_INPUT', `there is no list of artifacts`, {
      file,
      hint: 'give `artifacts` the result of `save`',
    })
  }
  const result = v.safeParse(listSchema, parseJson(await readFile(file, 'utf8')))
  if (!result.success) {
    const place = v.getDotPath(result.issues[0]) ?? '(all)'
    throw new FleetsieError('E_DAMAGED', `the list of artifacts is wrong at ${place}`, { file })
  }
  return result.output
}
