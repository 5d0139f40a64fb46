/** For which processor the programs of an image are: the ELF header of its shell. */
import { FleetsieError } from '../../errors.ts'
import { lookUp } from '../os/volume-file.ts'
import type { Volume } from '../volume.ts'

export interface Architecture {
  /** As qemu calls it. */
  name: string
  /** What kernels of these hosts (process.arch) run without help. */
  native: readonly string[]
  /** EI_CLASS and e_machine of the ELF header, in <elf.h>. All of them are little-endian. */
  elfClass: 1 | 2
  machine: number
}

const architectures: readonly Architecture[] = [
  { name: 'x86_64', native: ['x64'], elfClass: 2, machine: 62 },
  { name: 'i386', native: ['x64', 'ia32'], elfClass: 1, machine: 3 },
  { name: 'aarch64', native: ['arm64'], elfClass: 2, machine: 183 },
  { name: 'arm', native: ['arm64', 'arm'], elfClass: 1, machine: 40 },
  { name: 'riscv64', native: ['riscv64'], elfClass: 2, machine: 243 },
  { name: 'ppc64le', native: [], elfClass: 2, machine: 21 },
]
/** Programs that every system has, the shell first: scripts run by it. */
const programs = [
  'bin/sh',
  'usr/bin/sh',
  'bin/busybox',
  'usr/bin/env',
  'sbin/init',
  'usr/lib/systemd/systemd',
]

/** Fails with E_INPUT when the image holds no such program, with E_UNSUPPORTED for a processor not known here. */
export function architectureOf(volume: Volume): Architecture {
  for (const path of programs) {
    const id = lookUp(volume, path)
    if (id === undefined || volume.node(id).type !== 'file') continue
    const header = headerOf(volume, id)
    if (header === undefined) continue
    const [elfClass, order, machine] = [header[4], header[5], header.readUInt16LE(18)]
    const found = architectures.find((one) => one.elfClass === elfClass && one.machine === machine)
    if (found && order === 1) return found
    throw new FleetsieError(
      'E_UNSUPPORTED',
      `/${path} in the image is for a processor that is not known here`,
      {
        hint: `\`customize\` runs scripts of ${architectures.map(({ name }) => name).join(', ')}`,
      },
    )
  }
  throw new FleetsieError('E_INPUT', 'the image has no program that could run a script: /bin/sh is missing', {
    hint: 'use `files` or `overlay`, which need no program in the image',
  })
}

function headerOf(volume: Volume, id: number): Buffer | undefined {
  for (const { at, bytes } of volume.pieces(id)) {
    if (at === 0 && bytes.length >= 20 && bytes.readUInt32BE(0) === 0x7f454c46) return bytes
    return undefined
  }
  return undefined
}
