/**
 * A block device or a file as what is written to: opened so that no other writer gets in, past the page cache where the
 * kernel allows it. Where it does not (tmpfs, some FUSE), reads come from the medium after forget().
 */
import { constants, type FileHandle, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { sizeOf } from '../device-size.ts'
import { fileId } from '../devices/mounts.ts'
import { deviceId } from '../devices/sysfs.ts'
import { alignedBuffers, isAligned, memoryUnit } from './buffers.ts'
import { openFailure, transferFailure } from './target-errors.ts'
import type { Target } from './types.ts'

export interface OpenTarget {
  run: Run
  /** Only for reading. Default: for both. */
  readOnly?: boolean
}

const { O_RDONLY, O_RDWR, O_EXCL, O_DIRECT } = constants

/**
 * Opens `path` for this process alone: a device that is mounted or open elsewhere, and a file that another writer has
 * locked, are refused.
 * @throws E_UNSAFE for one that is in use, E_INPUT for one that is not there or no such thing, E_RIGHTS, E_IO
 */
export async function openTarget(path: string, { run, readOnly = false }: OpenTarget): Promise<Target> {
  const access = readOnly ? O_RDONLY : O_RDWR
  const opened = (flags: number): Promise<FileHandle> =>
    open(path, flags).catch((error: unknown) => {
      throw openFailure(path, error)
    })
  // O_EXCL on a file without O_CREAT means nothing.
  const plain = await opened(access | O_EXCL)
  let direct: FileHandle | undefined
  try {
    const stats = await plain.stat({ bigint: true })
    const id = stats.isBlockDevice() ? deviceId(stats.rdev) : fileId(stats)
    const size = await sizeOfTarget(path, plain)
    if (stats.isFile()) await lock(path, plain, run)
    // By what is open: the path may lead elsewhere by now.
    direct = await openDirect(`/proc/self/fd/${plain.fd}`, path, access, size)
    const kind = stats.isFile() ? 'file' : 'block'
    return new OpenedTarget({ path, id, kind, size, readOnly, plain, handle: direct, run })
  } catch (error) {
    await Promise.all([plain.close(), direct?.close()])
    throw error
  }
}

interface Opened {
  path: string
  id: string
  kind: 'block' | 'file'
  size: number
  readOnly: boolean
  plain: FileHandle
  handle: FileHandle | undefined
  run: Run
}

class OpenedTarget implements Target {
  readonly path: string
  readonly id: string
  readonly kind: 'block' | 'file'
  readonly size: number
  readonly readOnly: boolean
  readonly #plain: FileHandle
  readonly #direct: FileHandle | undefined
  readonly #run: Run
  /** Whether the page cache may hold what is read. */
  #cached: boolean

  constructor({ path, id, kind, size, readOnly, plain, handle, run }: Opened) {
    this.path = path
    this.id = id
    this.kind = kind
    this.size = size
    this.readOnly = readOnly
    this.#plain = plain
    this.#direct = handle
    this.#run = run
    this.#cached = handle === undefined
  }

  get direct(): boolean {
    return this.#direct !== undefined
  }

  async read(buffer: Buffer, at: number): Promise<void> {
    const file = this.#fileFor(buffer, at)
    for (let done = 0; done < buffer.length; ) {
      let got = 0
      try {
        got = (await file.read(buffer, done, buffer.length - done, at + done)).bytesRead
      } catch (error) {
        throw transferFailure('reading', this.path, at + done, error)
      }
      if (got === 0) throw transferFailure('reading', this.path, at + done, 'it ends here')
      done += got
    }
  }

  async write(buffer: Buffer, at: number): Promise<void> {
    const file = this.#fileFor(buffer, at)
    for (let done = 0; done < buffer.length; ) {
      let put = 0
      try {
        put = (await file.write(buffer, done, buffer.length - done, at + done)).bytesWritten
      } catch (error) {
        throw transferFailure('writing', this.path, at + done, error)
      }
      if (put === 0) throw transferFailure('writing', this.path, at + done, 'nothing was taken')
      done += put
    }
  }

  async flush(): Promise<void> {
    try {
      await this.#plain.datasync()
    } catch (error) {
      throw transferFailure('writing', this.path, undefined, error)
    }
  }

  async forget(): Promise<void> {
    if (!this.#cached) return
    // BLKFLSBUF is for root alone; of a device that a group may write, dd drops the same pages by posix_fadvise.
    const root = process.geteuid?.() === 0
    if (this.kind === 'block' && root) await this.#run('blockdev', ['--flushbufs', resolve(this.path)])
    else await this.#run('dd', [`if=${resolve(this.path)}`, 'iflag=nocache', 'count=0', 'status=none'])
    this.#cached = !this.direct
  }

  async close(): Promise<void> {
    await Promise.all([this.#direct?.close(), this.#plain.close()])
  }

  #fileFor(buffer: Buffer, at: number): FileHandle {
    const whole = at % memoryUnit === 0 && buffer.length % memoryUnit === 0
    if (this.#direct && whole && isAligned(buffer, memoryUnit)) return this.#direct
    this.#cached = true
    return this.#plain
  }
}

async function sizeOfTarget(path: string, file: FileHandle): Promise<number> {
  try {
    return sizeOf(await file.stat())
  } catch (error) {
    throw error instanceof FleetsieError ? error.inFile(path) : openFailure(path, error)
  }
}

/** The lock belongs to what `file` has open, so that it outlives the program that takes it. */
async function lock(path: string, file: FileHandle, run: Run): Promise<void> {
  const { exitCode } = await run('flock', ['--exclusive', '--nonblock', '1'], {
    outputFd: file.fd,
    okCodes: [0, 1],
  })
  if (exitCode === 0) return
  throw new FleetsieError('E_UNSAFE', `${path} is in use: another program has locked it`, {
    file: path,
    hint: 'wait until the other one has ended',
  })
}

/** Undefined where reads past the page cache are refused, some only when they are tried. */
async function openDirect(
  fd: string,
  path: string,
  access: number,
  size: number,
): Promise<FileHandle | undefined> {
  let file: FileHandle | undefined
  try {
    file = await open(fd, access | O_DIRECT)
    if (size >= memoryUnit) await file.read(alignedBuffers(1, memoryUnit)[0]!, 0, memoryUnit, 0)
    return file
  } catch (error) {
    await file?.close()
    // Any other failure is met again, and told, by whoever reads there.
    if (file === undefined && (error as NodeJS.ErrnoException).code !== 'EINVAL')
      throw openFailure(path, error)
    return undefined
  }
}
