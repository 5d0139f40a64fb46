/** The stage `overlay`: a folder of files, as git has it, becomes one layer for each partition. */
import * as v from 'valibot'
import { stage } from '../lib/engine/stage.ts'
import { overlaySources } from '../lib/images/overlay/sources.ts'

const options = v.strictObject({
  from: v.pipe(
    v.string(),
    v.nonEmpty('needs the name of a folder'),
    v.description('The folder that holds `part_1`, `part_2` … and `part_N.mtree`.'),
  ),
  partition: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.maxValue(999),
      v.description('Only this partition; without it, every one that has a folder.'),
    ),
  ),
  allowPrivateKeys: v.optional(
    v.pipe(
      v.array(v.string()),
      v.description(
        'Files that may hold a private key, each by the name that the refusal gives: `overlays/part_2/etc/…`.',
      ),
    ),
  ),
})

export const overlay = stage({
  kind: 'build',
  name: 'overlay',
  module: import.meta.url,
  summary: 'Makes a layer set of a git-tracked folder of files.',
  description: `
Takes the files below \`part_N\` in the folder \`from\` and makes a layer for partition N of them.

**Which files.** In a git work tree: those that git tracks, as they are in the folder now, and those that it would
track, with a note that names them. What git ignores is left out. Outside a work tree every file counts, and empty
folders too. Submodules and repositories in the folder are refused.

**Owner and mode.** root:root; 0755 for a file that its owner may execute, else 0644. umask and modification times
never matter. A folder is made 0755 root:root; one that the image has already keeps its own owner and mode, so that
\`part_2/tmp/x\` leaves \`/tmp\` as it is. Whatever differs is said in \`part_N.mtree\` beside the folder, an
[mtree(5)](https://man.netbsd.org/mtree.5) file with the keywords \`type\`, \`mode\`, \`uid\`, \`gid\`, \`uname\` and
\`gname\` (root only), \`time\`, \`link\`, \`device\`, \`xattr.NAME\` (base64) and \`optional\`:

    ./usr/bin/helper mode=04755
    ./home/pi        type=dir uid=1000 gid=1000 mode=0750
    ./dev/spare      type=char device=native,1,3 mode=0666
    ./srv/empty      type=dir
    ./usr/bin/ping   xattr.security.capability=AQAAAgAgAAAAAAAAAAAAAAAAAAA=

Folders, links, devices and fifos need no more than their line; a file has to be in the folder. setuid and setgid
come by mtree only. A line for the top folder itself changes nothing. Checks such as \`size\` or \`sha256\` are ignored.

**Removing.** An empty file \`.wh.NAME\` removes NAME from the image, \`.wh..wh..opq\` empties its folder.

**Links.** A symbolic link is kept as it is; where it leads is decided inside the image. git holds no hard links: two
names of one file become two files. Device nodes, fifos and sockets in the folder are refused.

**Private keys** (PEM, OpenSSH, PGP, PuTTY, PKCS#12, encrypted ones too) are refused unless allowed by name. Keys of other
kinds, a WireGuard configuration for one, are not found.
`,
  example: `overlay({ from: 'overlays', partition: 2 })`,
  options,
  sources: overlaySources,
  async run(context) {
    const { writeOverlayLayers } = await import('../lib/images/overlay/write-layers.ts')
    await writeOverlayLayers(context)
  },
})
