/** genimage: makes both filesystems anew from folders, then the disk. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shellQuoted } from '../../lib/formats/shell.ts'
import { limit, type Peer } from './peer.ts'
import { type Tree, takeApart } from './tree.ts'

export const genimage: Peer = {
  name: 'genimage',
  async ready(work) {
    const { workplace, overlays, folder } = work
    const tree = await takeApart(work)
    await mkdir(join(folder, 'input'))
    await writeFile(join(folder, 'genimage.cfg'), config(tree))
    const output = join(folder, 'out.img.xz')
    const steps = [
      `cp -R ${shellQuoted(join(overlays, 'part_1'))}/. boot/`,
      `cp -R ${shellQuoted(join(overlays, 'part_2'))}/. root/`,
      'rm -rf tmp',
      'genimage --config genimage.cfg --rootpath root --inputpath input --outputpath made --tmppath tmp > log 2>&1 ||',
      '  { tail -n 3 log >&2; exit 1; }',
      `xz -6 -T0 -c made/disk.img > ${shellQuoted(output)}`,
    ]
    return {
      subject: { command: 'sh', args: ['-ec', steps.join('\n')], cwd: folder, env: workplace.env, limit },
      output,
      about: 'makes both filesystems anew; the stock was taken apart before, uncounted',
    }
  },
}

function config({ id, boot, root }: Tree): string {
  return `
image boot.vfat {
  vfat { extraargs = "-i ${boot.uuid.replace('-', '')}${boot.label ? ` -n ${boot.label}` : ''}" }
  size = ${boot.size}
  srcpath = "boot"
}
image root.ext4 {
  ext4 {
    use-mke2fs = true
    label = "${root.label}"
    extraargs = "-U ${root.uuid}"
  }
  mountpoint = "/"
  size = ${root.size}
}
image disk.img {
  hdimage {
    disk-signature = ${id}
    align = 512
  }
  partition boot {
    partition-type = 0x${boot.type}
    bootable = true
    offset = ${boot.offset}
    image = "boot.vfat"
  }
  partition root {
    partition-type = 0x${root.type}
    offset = ${root.offset}
    image = "root.ext4"
  }
}
`
}
