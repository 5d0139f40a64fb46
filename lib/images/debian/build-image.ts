/** What the stage `debian` does: packages into a root filesystem, that and a boot partition onto a disk, compressed. */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { BuildContext, Input } from '../../engine/stage.ts'
import { applyLayers } from '../apply.ts'
import { makeBootPartition, unpackBootloader } from './boot.ts'
import { bootstrap } from './bootstrap.ts'
import { bootPlace, makeDisk, placeImage, rootPlace } from './disk.ts'
import { readLock } from './lock.ts'
import { writeRootLayer } from './root-layer.ts'

const MiB = 1024 * 1024
const imageName = 'debian.img.xz'
/** xz's own for -6, written down so that it stays. */
const blockSize = 24 * MiB
/** Of xz, 130 MB each: the largest process stays below 300 MB. */
const maxThreads = 2

interface DebianImage {
  packages: Input
  /** Bytes of the whole disk. */
  size: number
  hostname: string
}

type Context = Omit<BuildContext<unknown>, 'options'>

/** Fills `context.out` with the image, as `fetch` would have it. */
export async function buildDebianImage(context: Context, options: DebianImage): Promise<void> {
  const { run, tmp, signal, out } = context
  const packages = options.packages.path
  const lock = await readLock(join(packages, 'debian.lock'))
  const epoch = context.epoch ?? lock.published
  const { hostname, size } = options
  const { diskId, rootUuid } = identifiers(JSON.stringify([lock, hostname, size]))
  const bootloader = await unpackBootloader(lock, packages, join(tmp, 'bootloader'), run)

  const work = join(tmp, 'bootstrap')
  // Run by root, it will hold set-uid programs that nobody has updated; without root, mapped users have to enter it.
  await mkdir(work, { mode: process.geteuid?.() === 0 ? 0o700 : 0o755 })
  const tar = join(tmp, 'system.tar')
  context.log(`installing ${lock.packages.length} packages`)
  await bootstrap(lock, packages, tar, { run, tmp: work, epoch })
  const layer = join(tmp, 'part_2.tar')
  const files = await writeRootLayer(tar, layer, {
    lock,
    identity: { hostname, diskId },
    folder: tmp,
    epoch,
  })
  await rm(tar)

  const disk = join(tmp, 'disk.img')
  context.log('making the disk')
  await makeDisk(disk, { size, diskId, rootUuid, epoch }, bootloader.mbr, run)
  await applyLayers({
    run,
    disk,
    partition: rootPlace(size),
    layers: [layer],
    epoch,
    tmp,
    signal,
    checked: true,
  })
  await rm(layer)
  const boot = join(tmp, 'boot.img')
  await makeBootPartition(boot, { bootloader, files, diskId, epoch, tmp, run })
  await placeImage(boot, disk, bootPlace.offset)

  context.log('compressing')
  const compressed = await compressStock(context, disk, size, join(out, imageName))
  await writeFile(join(out, 'file.json'), `${JSON.stringify({ name: imageName, ...compressed })}\n`)
  context.declare(imageName, { sha256: compressed.sha256 })
}

/** Compresses as `xz -6` does, in blocks; answers with sum and size. The bytes do not depend on the threads. */
async function compressStock(
  context: Context,
  disk: string,
  size: number,
  target: string,
): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256')
  let written = 0
  let read = 0
  // +: only the threaded encoder writes sizes into the block headers.
  const args = [
    '-6',
    `-T+${Math.min(maxThreads, context.jobs)}`,
    '--check=crc64',
    `--block-size=${blockSize}`,
    '--stdout',
  ]
  await context.run('xz', args, {
    input: (stdin) =>
      pipeline(
        createReadStream(disk, { highWaterMark: MiB }),
        async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks) {
            read += chunk.length
            context.progress(read, size, 'bytes')
            yield chunk
          }
        },
        stdin,
      ),
    output: (stdout) =>
      pipeline(
        stdout,
        async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks) {
            hash.update(chunk)
            written += chunk.length
            yield chunk
          }
        },
        createWriteStream(target),
      ),
  })
  return { sha256: hash.digest('hex'), size: written }
}

/** Of the content: two images that differ can be in one machine. */
function identifiers(content: string): { diskId: string; rootUuid: string } {
  const digest = createHash('sha256').update(content).digest()
  // A signature of zeros means that there is none.
  const diskId = (digest.readUInt32LE(0) || 1).toString(16).padStart(8, '0')
  const uuid = Buffer.from(digest.subarray(4, 20))
  // RFC 9562, version 8: made of whatever the maker chose.
  uuid[6] = (uuid[6]! & 0x0f) | 0x80
  uuid[8] = (uuid[8]! & 0x3f) | 0x80
  const rootUuid = uuid.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  return { diskId, rootUuid }
}
