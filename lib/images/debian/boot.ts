/** Makes the boot partition: SYSLINUX of the locked packages, kernel, initramfs, and how they are started. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { bootPlace, makeBootFilesystem } from './disk.ts'
import type { DebianLock } from './lock.ts'
import { debName } from './packages.ts'
import type { BootFiles } from './root-layer.ts'

export interface Bootloader {
  /** The boot code for the first sector of the disk. */
  mbr: Buffer
  /** The program that installs it on a FAT filesystem in a file. */
  installer: string
}

/** Unpacks the boot loader's packages into `folder`. */
export async function unpackBootloader(
  lock: DebianLock,
  packages: string,
  folder: string,
  run: Run,
): Promise<Bootloader> {
  await mkdir(folder)
  for (const locked of lock.bootloader)
    await run('dpkg-deb', ['--extract', join(packages, debName(locked)), folder])
  const mbr = await readFile(join(folder, 'usr/lib/syslinux/mbr/mbr.bin')).catch((cause: unknown) => {
    throw new FleetsieError('E_INPUT', 'debian.lock has no SYSLINUX', {
      hint: '`fleetsie lock` makes it anew',
      cause,
    })
  })
  return { mbr, installer: join(folder, 'usr/bin/syslinux') }
}

const readme = `What the machine boots: SYSLINUX, and a copy of the kernel and initramfs of /boot.
`

/** Makes the file `image`: a FAT filesystem that boots. */
export async function makeBootPartition(
  image: string,
  about: { bootloader: Bootloader; files: BootFiles; diskId: string; epoch: number; tmp: string; run: Run },
): Promise<void> {
  const { bootloader, files, diskId, epoch, tmp, run } = about
  // Relative names: mtools takes `@@` in a path for the offset of the filesystem.
  const [cwd, name] = [dirname(image), basename(image)]
  const env = { SOURCE_DATE_EPOCH: `${epoch}`, MTOOLSRC: '/dev/null' }
  const menu = [
    ...['DEFAULT linux', 'PROMPT 0', 'LABEL linux', '  KERNEL /vmlinuz', '  INITRD /initrd.img'],
    `  APPEND root=PARTUUID=${diskId}-02 ro rootwait console=tty0 console=ttyS0,115200`,
  ]
  await writeFile(join(tmp, 'syslinux.cfg'), `${menu.join('\n')}\n`)
  await writeFile(join(tmp, 'readme'), readme)
  await makeBootFilesystem(image, diskId, run)
  for (const [from, to] of [
    [join(tmp, 'syslinux.cfg'), 'syslinux.cfg'],
    [join(tmp, 'readme'), 'README.txt'],
    [files.kernel, 'vmlinuz'],
    [files.initramfs, 'initrd.img'],
  ] as const) {
    await run('mcopy', ['-i', name, relative(cwd, from), `::/${to}`], { cwd, env }).catch(
      (cause: unknown) => {
        if (!(cause instanceof FleetsieError) || !/disk full/i.test(cause.message)) throw cause
        throw new FleetsieError(
          'E_TOO_SMALL',
          `kernel and initramfs do not fit into the boot partition of ${bootPlace.size} bytes`,
          { cause },
        )
      },
    )
  }
  await run(bootloader.installer, ['--install', name], { cwd, env })
}
