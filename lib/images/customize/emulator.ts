/** Programs for another processor: qemu-user, by a registration that only our own namespace sees. */
import { findTool } from '../../engine/tools.ts'
import { FleetsieError } from '../../errors.ts'
import type { Architecture } from './architecture.ts'

export interface Emulator {
  architecture: string
  /** A line for binfmt_misc's `register`. */
  registration: string
}

/** Nothing when this machine runs the programs itself. Fails with E_TOOL when the emulator is missing. */
export function emulatorFor(architecture: Architecture, host: string = process.arch): Emulator | undefined {
  if (architecture.native.includes(host)) return undefined
  const program = `qemu-${architecture.name}-static`
  const interpreter = findTool(program)
  if (interpreter === undefined) {
    throw new FleetsieError(
      'E_TOOL',
      `the image is for ${architecture.name}, and \`${program}\`, which runs its programs here, is not installed`,
      { hint: 'apt-get install qemu-user-static; `fleetsie doctor` prints the whole command' },
    )
  }
  return { architecture: architecture.name, registration: registration(architecture, interpreter) }
}

/**
 * Linux, Documentation/admin-guide/binfmt-misc.rst. F: the interpreter is opened now, so that it need not be in the
 * image; P: with the name by which the program was called; O and C: programs that are set-uid keep that right.
 */
function registration({ name, elfClass, machine }: Architecture, interpreter: string): string {
  const header = Buffer.alloc(20)
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, elfClass, 1, 1]).copy(header)
  header.writeUInt16LE(2, 16)
  header.writeUInt16LE(machine, 18)
  const mask = Buffer.alloc(20, 0xff)
  // Whichever ABI; and a position-independent program (type 3) as well.
  mask[7] = 0
  mask[16] = 0xfe
  return `:fleetsie-${name}:M::${escaped(header)}:${escaped(mask)}:${interpreter}:POCF`
}

const escaped = (bytes: Buffer): string =>
  Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
