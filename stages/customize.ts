/** customize: files, packages, or a script run in a chroot of the merged tree; what changed becomes a layer set. */
import * as v from 'valibot'
import { input, stage } from '../lib/engine/stage.ts'
import { noise } from '../lib/images/customize/noise.ts'
import { customizeSources, runsPrograms } from '../lib/images/customize/sources.ts'

const projectPath = v.pipe(v.string(), v.nonEmpty('needs the name of a file'))
const imagePath = v.pipe(
  v.string(),
  v.regex(/^\/(?!.*\0)/, 'takes absolute paths in the image, such as /etc/motd'),
  v.check((path) => {
    const parts = path.slice(1).split('/')
    return parts.every((part) => part !== '' && part !== '.' && part !== '..' && !part.startsWith('.wh.'))
  }, 'takes paths without `.`, `..`, empty parts, or names that begin with `.wh.`'),
)

const options = v.pipe(
  v.strictObject({
    image: v.pipe(input(), v.description('The stock image, from `decompress`.')),
    table: v.pipe(input(), v.description('Its partitions, from `mount`.')),
    layers: v.pipe(
      v.optional(v.array(input()), []),
      v.description('Layer sets that the script finds in the tree already, in their order.'),
    ),
    script: v.pipe(
      v.optional(projectPath),
      v.description(
        'A script of the project. Its first line names its interpreter; without one, /bin/sh runs it.',
      ),
    ),
    packages: v.pipe(
      v.optional(v.array(v.pipe(projectPath, v.endsWith('.deb', 'takes .deb files')))),
      v.description('.deb files of the project, installed before the script runs.'),
    ),
    files: v.pipe(
      v.optional(
        v.union(
          [projectPath, v.record(imagePath, projectPath)],
          'takes a folder, or paths in the image with a file for each',
        ),
      ),
      v.description(
        "A folder of the project that is laid over the tree, or `{ '/etc/motd': 'motd' }`. root:root, 0755 or 0644. Empty folders are left out.",
      ),
    ),
    network: v.pipe(
      v.optional(v.boolean(), false),
      v.description('Whether script and packages may use the network. The result then depends on it.'),
    ),
    timeout: v.pipe(
      v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(604_800)), 3600),
      v.description('Seconds after which all of it is ended.'),
    ),
    root: v.pipe(
      v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
      v.description(
        'The number of the root partition. Default: the ext partition with an os-release, else with an fstab, else the largest.',
      ),
    ),
    allowPrivateKeys: v.pipe(
      v.optional(v.array(v.string())),
      v.description('Files of `files` that may hold a private key, each by the name that the refusal gives.'),
    ),
  }),
  v.check(
    ({ script, packages, files }) =>
      script !== undefined || (packages ?? []).length > 0 || files !== undefined,
    'needs one of `script`, `packages` and `files`',
  ),
)

export const customize = stage({
  kind: 'build',
  name: 'customize',
  module: import.meta.url,
  summary:
    'Runs a script in the image, installs packages or copies files, and captures what changed as a layer set.',
  description: `
Applies \`layers\` to a copy of the image, puts \`files\` in place, installs \`packages\`, runs \`script\` as root in a chroot of
that tree, and makes a layer set of what is different afterwards. Partitions that the image's fstab mounts (ext2, ext3,
ext4 and FAT) are in the tree; what changes there becomes the layer of that partition.

**What a script finds.** Namespaces of its own for users, mounts, processes, IPC, host name and network; of the network
only \`lo\`, unless \`network: true\`. /proc, a /dev without disks, an empty /tmp and /run, no /sys. No input; its output is
in the stage's log. \`PATH\`, \`HOME=/root\`, \`LC_ALL=C.UTF-8\`, \`TZ=UTC\`, \`SOURCE_DATE_EPOCH\` and
\`DEBIAN_FRONTEND=noninteractive\` are set, nothing else comes from outside. The host name is \`fleetsie\`. Services do not
start: \`policy-rc.d\` says no and \`systemctl\` takes itself to be offline. It cannot mount, make device nodes, or
reach the host's files. When it ends, its daemons are ended too.

**Rights.** With \`files\` alone: none. Else root, or \`uidmap\` and \`fuse2fs\` with a range of 65536 in /etc/subuid and
/etc/subgid; both give the same bytes. \`fleetsie doctor\` says what is missing. An image for another processor needs
\`qemu-user-static\`, and Linux 6.7 or a registration that the host has already.

**What is captured.** Files, folders, links, hard links, devices, fifos, owners, modes, extended attributes, removals. A
file that was touched but is the same is left out. A time later than \`SOURCE_DATE_EPOCH\` (else the image's own) is not
said, so that the time of the run does not matter. Sockets are left out, and so is what belongs to a machine or a moment:

${noise.map(({ what, why }) => `- ${what}: ${why}`).join('\n')}

**Limits.** A script that asks the clock, a random source or the network for what it writes gives another layer each time;
\`build --check\` finds that. On FAT, owners, modes and links cannot be kept.
`,
  example: "customize({ image, table, layers: [overlay({ from: 'overlays' })], script: 'scripts/setup.sh' })",
  options,
  pool: 'mount',
  tools: (chosen) => {
    const always = chosen.layers.length > 0 ? ['cp', 'debugfs', 'e2fsck', 'mcopy', 'fsck.fat'] : []
    return runsPrograms(chosen)
      ? [...always, 'unshare', 'nsenter', 'mount', 'setpriv', 'setsid', 'tar', 'ip']
      : always
  },
  sources: customizeSources,
  async run(context) {
    const { runCustomize } = await import('../lib/images/customize/customize.ts')
    await runCustomize(context)
  },
})
