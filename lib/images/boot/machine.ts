/** The machine that an image is booted on: what it can start, and the arguments of qemu. */

import { FleetsieError } from '../../errors.ts'
import type { Forward } from './forwards.ts'

export interface Machine {
  /** A raw image. qemu never writes to it. */
  disk: string
  /** A qcow2 file over it that keeps what the machine writes; without it that is thrown away. */
  kept: string | undefined
  /** Raw images of USB disks. The machine writes to them. */
  usb: readonly string[]
  forwards: readonly Forward[]
  /** MiB. */
  memory: number
  cpus: number
  /** Whether the kernel here runs it; else it is emulated. */
  kvm: boolean
}

const bootCodeSize = 440

/** Fails with E_UNSUPPORTED for a disk with a first sector from which a PC's BIOS cannot start. */
export function requireBootCode(sector: Buffer): void {
  if (sector.subarray(0, bootCodeSize).some((byte) => byte !== 0)) return
  throw new FleetsieError('E_UNSUPPORTED', 'the image has no boot code in its first sector', {
    hint: 'images that start by a BIOS can be booted here: those for EFI or a Raspberry Pi cannot',
  })
}

/** The serial line is the terminal, with qemu's own keys behind Ctrl-A. Nothing outside reaches the machine but by `forwards`. */
export function qemuArguments(machine: Machine): string[] {
  const { disk, kept, usb, forwards, memory, cpus, kvm } = machine
  const drive = kept
    ? `file=${escaped(kept)},format=qcow2,if=virtio,discard=unmap`
    : `file=${escaped(disk)},format=raw,if=virtio,snapshot=on`
  const ports = forwards.map(({ host, guest }) => `,hostfwd=tcp:127.0.0.1:${host}-:${guest}`)
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'mon:stdio', '-monitor', 'none'],
    ...(kvm ? ['-accel', 'kvm', '-cpu', 'host'] : ['-accel', 'tcg,thread=multi', '-cpu', 'max']),
    ...['-smp', String(cpus), '-m', String(memory), '-drive', drive],
    ...['-nic', `user,model=virtio-net-pci${ports.join('')}`],
    ...['-object', 'rng-random,id=rng,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=rng'],
    ...(usb.length > 0 ? ['-device', 'qemu-xhci'] : []),
    ...usb.flatMap((file, index) => [
      '-drive',
      `if=none,id=usb${index},format=raw,file=${escaped(file)}`,
      '-device',
      `usb-storage,drive=usb${index},removable=on`,
    ]),
  ]
}

/** qemu ends a value at a comma; two are one. */
function escaped(path: string): string {
  return path.replaceAll(',', ',,')
}
