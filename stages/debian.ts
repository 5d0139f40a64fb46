/** debian: a stock Debian image, from nothing but the packages of debian.lock. */
import * as v from 'valibot'
import { type Derivation, input, stage } from '../lib/engine/stage.ts'
import { debianPackages } from './debian-packages.ts'

const MiB = 1024 * 1024
const minSize = 1024 * MiB
const maxSize = 64 * 1024 * MiB
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
    const { buildDebianImage } = await import('../lib/images/debian/build-image.ts')
    const { packages, hostname, size } = context.options
    await buildDebianImage(context, { packages, hostname, size: bytes(size) })
  },
})

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
