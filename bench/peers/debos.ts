/** debos: makes an image from a tar of the stock's files and the overlays, in a virtual machine or on the host. */
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shellQuoted } from '../../lib/formats/shell.ts'
import { detach } from './loop-devices.ts'
import { limit, type Peer, type PeerWork } from './peer.ts'
import { type Tree, takeApart } from './tree.ts'

const MiB = 1024 * 1024

export const debos: Peer = {
  name: 'debos',
  async ready(work) {
    const { workplace, overlays, folder } = work
    const how = await workingWay(work)
    const tree = await takeApart(work)
    execFileSync('tar', ['-cf', 'root.tar', '-C', 'root', '.'], { cwd: folder })
    execFileSync('tar', ['-rf', 'root.tar', '--transform=s,^boot,./boot/firmware,', 'boot'], { cwd: folder })
    await writeFile(join(folder, 'recipe.yaml'), recipe(tree, overlays))
    const output = join(folder, 'out.img.xz')
    const steps = [`debos ${how.join(' ')} recipe.yaml`, `xz -6 -T0 -c disk.img > ${shellQuoted(output)}`]
    return {
      subject: { command: 'sh', args: ['-ec', steps.join('\n')], cwd: folder, env: workplace.env, limit },
      output,
      about: 'makes both filesystems anew; the stock was taken apart before, uncounted',
    }
  },
  tidy: detach,
}

/** In a virtual machine, or on the host: whichever can partition a small disk here. */
async function workingWay(work: PeerWork): Promise<string[]> {
  const { workplace, folder } = work
  const small = `architecture: amd64\nactions:\n${partitions('small.img', 64, 4, 32)}`
  await writeFile(join(folder, 'small.yaml'), small)
  const reasons: string[] = []
  for (const way of [[], ['--disable-fakemachine']]) {
    try {
      execFileSync('timeout', ['--kill-after=5', '30', 'debos', ...way, 'small.yaml'], {
        cwd: folder,
        env: workplace.env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      return way
    } catch (error) {
      reasons.push(reasonOf(error as Failure))
      await detach(work)
    }
  }
  throw new Error(`in its virtual machine: ${reasons[0]}; on the host: ${reasons[1]}`)
}

type Failure = Error & { status?: number; stdout?: Buffer; stderr?: Buffer }

function reasonOf({ status, stdout, stderr, message }: Failure): string {
  if (status === 124) return 'no end within 30 s of a disk of 64 MiB'
  const said = `${stderr}\n${stdout}`.trim()
  return /error: (.+)/.exec(said)?.[1] ?? (said.split('\n').at(-1) || message)
}

function partitions(image: string, size: number, boot: number, root: number): string {
  return `
  - action: image-partition
    imagename: ${image}
    imagesize: ${size}MiB
    partitiontype: msdos
    mountpoints:
      - { mountpoint: /, partition: root }
      - { mountpoint: /boot/firmware, partition: boot }
    partitions:
      - { name: boot, fs: vfat, start: ${boot}MiB, end: ${root}MiB }
      - { name: root, fs: ext4, start: ${root}MiB, end: 100% }
`
}

function recipe({ size, boot, root }: Tree, overlays: string): string {
  return `architecture: amd64
actions:
  - { action: unpack, file: root.tar }
${partitions('disk.img', size / MiB, boot.offset / MiB, root.offset / MiB)}
  - { action: filesystem-deploy, setup-fstab: false, setup-kernel-cmdline: false }
  - { action: overlay, source: ${join(overlays, 'part_2')} }
  - { action: overlay, source: ${join(overlays, 'part_1')}, destination: /boot/firmware }
`
}
