/** debian: a stock Debian image, from nothing but the packages of debian.lock. */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import * as v from 'valibot'
import { type Derivation, input, stage } from '../lib/engine/stage.ts'
import { applyLayers } from '../lib/images/apply.ts'
import { makeBootPartition, unpackBootloader } from '../lib/images/debian/boot.ts'
import { bootstrap } from '../lib/images/debian/bootstrap.ts'
import { bootPlace, makeDisk, placeImage, rootPlace } from '../lib/images/debian/disk.ts'
import { readLock } from '../lib/images/debian/lock.ts'
import { writeRootLayer } from '../lib/images/debian/root-layer.ts'
import { debianPackages } from './debian-packages.ts'

const MiB = 1024 * 1024
const minSize = 1024 * MiB
const maxSize = 64 * 1024 * MiB
const imageName = 'debian.img.xz'
/** xz's own for -6, written down so that it stays. */
const blockSize = 24 * MiB
/** Of xz: 150 MB each. More threads would be faster only where nobody minds the memory. */
const threads = Math.min(2, availableParallelism())

const size = v.pipe(
  v.string(),
  v.regex(/^[1-9]\d{0,5}[MG]$/, 'takes a number of MiB or GiB, for example 1700M or 4G'),
  v.check((text) => bytes(text) >= minSize && bytes(text) <= maxSize, 'takes 1024M to 64G'),
)

const options = v.strictObject({
  packages: v.pipe(input(), v.description('The packages: a result of `debianPackages`.')),
  size: v.pipe(v.optional(size, '1700M'), v.description('Size of the whole disk.')),
  hostname: v.pipe(
    v.optional(
      v.pipe(v.string(), v.regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'takes a host name')),
      'debian',
    ),
    v.description('The host name that the image starts with.'),
  ),
})

const debianImage = stage({
  kind: 'build',
  name: 'debian',
  module: import.meta.url,
  summary: 'Makes a stock Debian image (amd64) of the packages of debian.lock.',
  description: `
From \`debian.lock\` to \`debian.img.xz\`, as \`fetch\` would have it: an MBR, a FAT32 boot partition (\`bootfs\`, on
/boot/firmware) with SYSLINUX, kernel and initramfs, and an ext4 root partition (\`rootfs\`). It boots by BIOS from any disk,
with a console on screen and first serial port; the network is set up by DHCP, and sshd runs. There is no password and
no key: nobody can log in until an overlay or \`fleetsie/setup\` brings one. Host keys and machine-id are made by the first boot.

The packages are installed by mmdebstrap, as root or in a user namespace, from the downloaded files alone. The same lock
and options give the same bytes. Times are those of \`SOURCE_DATE_EPOCH\`, else of the publication of the lock's suites.

\`debian()\` is two stages: \`debian-packages\` downloads, \`debian\` builds. It takes \`lock\`, the path of the lock
(\`debian.lock\` by default), where the table below says \`packages\`. \`fleetsie lock\` makes the lock anew.

Limits: amd64 only. No manual pages, no translations: /etc/dpkg/dpkg.cfg.d/fleetsie says so to later upgrades, too.
`,
  example: "debian({ lock: 'debian.lock', size: '1700M', hostname: 'debian' })",
  options,
  tools: () => [
    'mmdebstrap',
    'apt-get',
    'dpkg-deb',
    'mke2fs',
    'debugfs',
    'e2fsck',
    'mkfs.fat',
    'mcopy',
    'xz',
  ],
  async run(context) {
    const { run, tmp, signal, out } = context
    const packages = context.options.packages.path
    const lock = await readLock(join(packages, 'debian.lock'))
    const epoch = context.epoch ?? lock.published
    const { hostname } = context.options
    const { diskId, rootUuid } = identifiers(JSON.stringify([lock, hostname, context.options.size]))
    const bootloader = await unpackBootloader(lock, packages, join(tmp, 'bootloader'), run)

    const work = join(tmp, 'bootstrap')
    await mkdir(work)
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
    const whole = bytes(context.options.size)
    context.log('making the disk')
    await makeDisk(disk, { size: whole, diskId, rootUuid, epoch }, bootloader.mbr, run)
    await applyLayers({
      run,
      disk,
      partition: rootPlace(whole),
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
    const target = join(out, imageName)
    const hash = createHash('sha256')
    // +: only the threaded encoder writes sizes into the block headers; how many threads there are changes nothing.
    const args = ['-6', `-T+${threads}`, '--check=crc64', `--block-size=${blockSize}`, '--stdout', disk]
    await run('xz', args, {
      output: (stdout) =>
        pipeline(
          stdout,
          async function* (chunks: AsyncIterable<Buffer>) {
            for await (const chunk of chunks) {
              hash.update(chunk)
              yield chunk
            }
          },
          createWriteStream(target),
        ),
    })
    const sha256 = hash.digest('hex')
    const facts = { name: imageName, sha256, size: (await stat(target)).size }
    await writeFile(join(out, 'file.json'), `${JSON.stringify(facts)}\n`)
    context.declare(imageName, { sha256 })
  },
})

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

function bytes(text: string): number {
  return Number.parseInt(text, 10) * (text.endsWith('G') ? 1024 * MiB : MiB)
}

type DebianOptions = Omit<v.InferInput<typeof options>, 'packages'> & {
  /** The lock file, relative to pipeline.ts. Default: debian.lock. */
  lock?: string
}

/** A stock Debian image: what `fetch` would give. */
export const debian: ((options?: DebianOptions) => Derivation) & { stage: typeof debianImage.stage } =
  Object.assign(
    ({ lock, ...rest }: DebianOptions = {}) =>
      debianImage({ ...rest, packages: debianPackages(lock === undefined ? {} : { lock }) }),
    { stage: debianImage.stage },
  )
