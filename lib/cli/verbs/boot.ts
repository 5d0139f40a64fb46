/** `boot`: starts an image in qemu, with this terminal as its serial line. */
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { type BootDisk, withBootDisk } from '../../images/boot/disk.ts'
import { type Forward, freeForward, parseForward } from '../../images/boot/forwards.ts'
import { type Machine, qemuArguments, requireBootCode } from '../../images/boot/machine.ts'
import type { DiskImage } from '../../images/flash/types.ts'
import { findImage, type ImagePlace, openImage } from '../card/image.ts'
import type { Session } from '../session.ts'
import { temporaryRun } from '../temporary-run.ts'

interface BootOptions {
  forward: string[]
  usb: string[]
  keep?: boolean
  emulate?: boolean
  /** MiB. */
  memory: number
  cpus: number
}

const qemu = 'qemu-system-x86_64'

export async function boot(
  session: Session,
  wanted: string | undefined,
  options: BootOptions,
): Promise<void> {
  const wantedForwards = options.forward.map(parseForward)
  const usb = options.usb.map((file) => resolve(file))
  for (const file of usb) await access(file, constants.R_OK | constants.W_OK)
  await session.show({ live: true })
  await temporaryRun(session.signal, async (run, tmp) => {
    const place = await findImage(session, wanted)
    const image = await openImage(session, place, run, tmp)
    const beside: Omit<BootDisk, 'image'> = {
      origin: originOf(session, place),
      keep: options.keep ?? false,
      env: process.env,
      run,
      signal: session.signal,
      warn: (message) => session.emit({ type: 'warning', message }),
      progress: ({ left, ...progress }) =>
        session.emit({
          type: 'card-progress',
          ...progress,
          card: image.name,
          ...(left === undefined ? {} : { left }),
        }),
    }
    try {
      // Before it is unpacked.
      requireBootCode(await firstSector(image, session.signal))
      await withBootDisk({ image, ...beside }, async (disk, kept) => {
        const forwards: Forward[] = []
        for (const forward of wantedForwards) forwards.push(await freeForward(forward, forwards))
        const { memory, cpus, emulate } = options
        const kvm = !emulate && (await mayUseKvm())
        await runMachine(session, { disk, kept, usb, forwards, memory, cpus, kvm })
      })
    } finally {
      await image.close()
    }
  })
}

async function firstSector(image: DiskImage, signal: AbortSignal): Promise<Buffer> {
  const sector = Buffer.alloc(512)
  for await (const { at, bytes } of image.read([{ offset: 0, length: sector.length }], signal)) {
    bytes.copy(sector, at)
  }
  return sector
}

/** The object of a target is another after each edit; its disk is to stay the same one. */
function originOf({ project }: Session, place: ImagePlace): string {
  return 'file' in place ? place.file : (project?.cwd ?? process.cwd())
}

async function mayUseKvm(): Promise<boolean> {
  if (process.arch !== 'x64') return false
  try {
    const kvm = await open('/dev/kvm', 'r+')
    await kvm.close()
    return true
  } catch {
    return false
  }
}

/** The terminal is the machine's until it is off. */
async function runMachine(session: Session, machine: Machine): Promise<void> {
  const ports = machine.forwards.map(({ host, guest }) => `127.0.0.1:${host} → ${guest}`).join(', ')
  const how = machine.kvm ? '' : ', emulated: it takes its time'
  session.emit({ type: 'note', message: `${ports || 'no port'} forwarded${how}; leave by Ctrl-A X` })
  await session.show({})
  const child = spawn(qemu, qemuArguments(machine), { stdio: 'inherit' })
  const stop = (): void => void child.kill('SIGTERM')
  session.signal.addEventListener('abort', stop, { once: true })
  try {
    const end = await new Promise<string | undefined>((resolve, reject) => {
      child.once('error', reject).once('close', (code, signal) => {
        if (code === 0) resolve(undefined)
        else resolve(code === null ? `was ended by ${signal}` : `ended with exit code ${code}`)
      })
    })
    session.signal.throwIfAborted()
    if (end === undefined) return
    throw new FleetsieError('E_STAGE', `${qemu} ${end}`, {
      ...(machine.kvm ? { hint: '--emulate does without KVM, which does not work everywhere' } : {}),
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new FleetsieError('E_TOOL', `the program \`${qemu}\` is not installed`, {
      hint: '`fleetsie doctor` prints the command that installs it',
    })
  } finally {
    session.signal.removeEventListener('abort', stop)
  }
}
