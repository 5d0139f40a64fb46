/** The image object: a folder with `disk.img`, raw and sparse, and `image.json`, its manifest by chunks. */
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { FleetsieError } from '../errors.ts'
import type { StockIndex } from '../formats/xz/cut.ts'
import { maxBlocks } from '../formats/xz/file-index.ts'
import { maxImageSize } from './limits.ts'

/** Bytes of a chunk, aligned to the disk; the last of an image may be shorter. */
export const chunkSize = 1024 * 1024
export const diskName = 'disk.img'
const manifestName = 'image.json'
const maxManifest = 64 * 1024 * 1024
const sector = 512

export type ContainerKind = 'xz' | 'gz' | 'zst' | 'zip' | 'raw'

/** The blocks of the .xz that an image came in. */
export interface XzContainer extends StockIndex {
  streams: number
  blocks: { offset: number; unpadded: number; uncompressed: number; stream: number }[]
}

export interface ImageManifest {
  format: 1
  /** Bytes of the whole disk. */
  size: number
  chunkSize: typeof chunkSize
  /** sha256 of each chunk, null for one of zeros. */
  chunks: (string | null)[]
  /** What it came in: the kind, and the sha256 of the file. */
  container: { kind: ContainerKind; sha256: string }
  /** Left out when the streams of an .xz differ in their check: such blocks cannot stand in one stream. */
  xz?: XzContainer | undefined
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))

const manifestSchema = v.strictObject({
  format: v.literal(1),
  size: v.pipe(count, v.minValue(sector), v.maxValue(maxImageSize), v.multipleOf(sector)),
  chunkSize: v.literal(chunkSize),
  chunks: v.array(v.nullable(sha256)),
  container: v.strictObject({ kind: v.picklist(['xz', 'gz', 'zst', 'zip', 'raw']), sha256 }),
  xz: v.optional(
    v.strictObject({
      check: v.picklist([0, 1, 4, 10]),
      streams: count,
      blocks: v.pipe(
        v.array(v.strictObject({ offset: count, unpadded: count, uncompressed: count, stream: count })),
        v.maxLength(maxBlocks),
      ),
    }),
  ),
})

/** Writes the manifest of the image in `folder`. Equal images give equal bytes. */
export async function writeManifest(folder: string, manifest: ImageManifest): Promise<void> {
  await writeFile(join(folder, manifestName), `${JSON.stringify(manifest)}\n`)
}

/**
 * Reads the manifest of the image in `folder`.
 * @throws E_INPUT when the folder holds no image, E_STORE when its manifest does not fit together
 */
export async function readManifest(folder: string): Promise<ImageManifest> {
  const file = join(folder, manifestName)
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause
    throw new FleetsieError('E_INPUT', 'here an image is needed, and this is none', { file: folder, cause })
  })
  const fault = (what: string): FleetsieError =>
    new FleetsieError('E_STORE', `the image's manifest is damaged: ${what}`, { file })
  if (text.length > maxManifest) throw fault(`it has ${text.length} characters`)
  const result = v.safeParse(manifestSchema, parse(text, fault), { abortEarly: true })
  if (!result.success) {
    const [issue] = result.issues
    throw fault(`${v.getDotPath(issue) ?? 'the whole'}: ${issue.message}`)
  }
  const manifest = result.output
  if (manifest.chunks.length !== Math.ceil(manifest.size / chunkSize)) {
    throw fault(`it has ${manifest.chunks.length} chunks for ${manifest.size} bytes`)
  }
  if (manifest.xz) checkBlocks(manifest.xz, manifest.size, fault)
  return manifest
}

/** The digest of disk.img for `context.declare`: sha256 over the chunks' sha256, 32 zero bytes for one of zeros. */
export function chunksDigest(chunks: readonly (string | null)[]): string {
  const hash = createHash('sha256')
  const zeros = Buffer.alloc(32)
  for (const chunk of chunks) hash.update(chunk === null ? zeros : Buffer.from(chunk, 'hex'))
  return hash.digest('hex')
}

function parse(text: string, fault: (what: string) => FleetsieError): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw fault((error as Error).message)
  }
}

function checkBlocks(xz: XzContainer, size: number, fault: (what: string) => FleetsieError): void {
  let data = 0
  let end = 0
  let stream = 0
  for (const [i, block] of xz.blocks.entries()) {
    if (block.offset < end || block.stream < stream || block.stream >= xz.streams) {
      throw fault(`xz.blocks.${i} is out of order`)
    }
    end = block.offset + block.unpadded
    stream = block.stream
    data += block.uncompressed
  }
  if (data !== size) throw fault(`its xz blocks hold ${data} bytes, the image ${size}`)
}
