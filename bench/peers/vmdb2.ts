/** vmdb2: makes an image from a tar of the stock's files, and copies the overlays in. */
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shellQuoted } from '../../lib/formats/shell.ts'
import { detach } from './loop-devices.ts'
import { limit, type Peer, type PeerWork } from './peer.ts'
import { type Tree, takeApart } from './tree.ts'

const MiB = 1024 * 1024

export const vmdb2: Peer = {
  name: 'vmdb2',
  async ready(work) {
    const { workplace, overlays, folder } = work
    await tryIt(work)
    const tree = await takeApart(work)
    execFileSync('tar', ['-cf', 'root.tar', '-C', 'root', '.'], { cwd: folder })
    await writeFile(join(folder, 'image.yaml'), steps(tree, overlays))
    const output = join(folder, 'out.img.xz')
    const lines = [
      'vmdb2 --rootfs-tarball root.tar --output disk.img image.yaml > log 2>&1 || { tail -n 3 log >&2; exit 1; }',
      `xz -6 -T0 -c disk.img > ${shellQuoted(output)}`,
    ]
    return {
      subject: { command: 'sh', args: ['-ec', lines.join('\n')], cwd: folder, env: workplace.env, limit },
      output,
      about: 'makes both filesystems anew; the stock was taken apart before, uncounted',
    }
  },
  tidy: detach,
}

/** Partitions a small disk, which fails at once where the kernel lacks what it takes. */
async function tryIt(work: PeerWork): Promise<void> {
  const { workplace, folder } = work
  await writeFile(join(folder, 'small.yaml'), `steps:\n${disk(64, 4, 32)}`)
  try {
    const args = [
      '--kill-after=5',
      '30',
      'vmdb2',
      '--output',
      'small.img',
      '--log',
      'small.log',
      'small.yaml',
    ]
    execFileSync('timeout', args, { cwd: folder, env: workplace.env, stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    await detach(work)
    const mapper = kpartxSays(folder, workplace.env)
    throw new Error(mapper ?? (error as Error).message)
  }
}

/** What vmdb2 keeps to itself: kpartx, which it calls, needs device-mapper. */
function kpartxSays(folder: string, env: NodeJS.ProcessEnv): string | undefined {
  try {
    execFileSync('dmsetup', ['version'], { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] })
    return undefined
  } catch (error) {
    return `its kpartx needs device-mapper: ${(error as { stderr?: Buffer }).stderr?.toString().split('\n')[0]}`
  }
}

function disk(size: number, boot: number, root: number): string {
  return `
  - mkimg: "{{ output }}"
    size: ${size}M
  - mklabel: msdos
    device: "{{ output }}"
  - mkpart: primary
    device: "{{ output }}"
    start: ${boot}M
    end: ${root}M
    tag: boot
  - mkpart: primary
    device: "{{ output }}"
    start: ${root}M
    end: 100%
    tag: root
  - kpartx: "{{ output }}"
  - mkfs: vfat
    partition: boot
  - mkfs: ext4
    partition: root
`
}

function steps({ size, boot, root }: Tree, overlays: string): string {
  return `steps:
${disk(size / MiB, boot.offset / MiB, root.offset / MiB)}
  - mount: root
  - unpack-rootfs: root
  - mount: boot
    mount-on: root
    dirname: /boot/firmware
  - copy-dir: /boot/firmware
    src: ${boot.folder}
  - copy-dir: /
    src: ${join(overlays, 'part_2')}
  - copy-dir: /boot/firmware
    src: ${join(overlays, 'part_1')}
`
}
