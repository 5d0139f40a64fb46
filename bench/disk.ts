/** Disk images taken apart and put together by the system's programs, for the images that benches are made of. */
import { open } from 'node:fs/promises'
import { type Run, runner } from '../lib/engine/process.ts'

const MiB = 1024 * 1024
/** Of all that is made here: the same bytes each time. */
const epoch = '1783728000'

export interface Partition {
  number: number
  /** Bytes. */
  offset: number
  size: number
  /** As sfdisk has it: `c` or a GUID. */
  type: string
}

export interface Table {
  label: string
  id: string
  partitions: Partition[]
}

export function tools(home: string): Run {
  return runner({ home, env: { SOURCE_DATE_EPOCH: epoch, E2FSPROGS_FAKE_TIME: epoch } })
}

export async function readTable(run: Run, disk: string): Promise<Table> {
  const { stdout } = await run('sfdisk', ['--json', disk])
  const { label, id, partitions } = JSON.parse(stdout.toString()).partitiontable as {
    label: string
    id: string
    partitions: { start: number; size: number; type: string }[]
  }
  return {
    label,
    id,
    partitions: partitions.map(({ start, size, type }, index) => ({
      number: index + 1,
      offset: start * 512,
      size: size * 512,
      type,
    })),
  }
}

/** Bytes of what is in an .xz, by its index. */
export async function rawSize(run: Run, file: string): Promise<number> {
  const { stdout } = await run('xz', ['--robot', '--list', file])
  return Number(/^totals(?:\t\d+){3}\t(\d+)/m.exec(stdout.toString())![1])
}

export async function decompressTo(run: Run, file: string, disk: string): Promise<void> {
  await intoFile(run, disk, 'xz', ['-dc', '-T0', file])
  await run('fallocate', ['--dig-holes', disk])
}

/** By the quickest encoder, with the dictionary and blocks that -6 has: those are what a decoder sees. */
export async function compressTo(run: Run, disk: string, file: string): Promise<void> {
  const xz = ['--lzma2=preset=0,dict=8MiB', '-T0', '--check=crc64', `--block-size=${24 * MiB}`, '-c', disk]
  await intoFile(run, file, 'xz', xz)
}

/** Makes the disk that large and its last partition with it, whose ext filesystem comes out as the file `partition`. */
export async function growLast(run: Run, disk: string, size: number, partition: string): Promise<Partition> {
  await run('truncate', [`--size=${size}`, disk])
  const { label, partitions } = await readTable(run, disk)
  const { number, offset } = partitions.at(-1)!
  const gpt = label === 'gpt' ? ['--relocate', 'gpt-bak-std'] : undefined
  if (gpt) await run('sfdisk', ['--quiet', ...gpt, disk])
  await run('sfdisk', ['--quiet', '--no-reread', '-N', `${number}`, disk], { input: ', +\n' })
  await run('dd', copy(disk, partition, `skip=${offset}`))
  const grown = (await readTable(run, disk)).partitions.at(-1)!
  await run('truncate', [`--size=${grown.size}`, partition])
  await run('resize2fs', ['-f', partition])
  return grown
}

export async function putBack(run: Run, partition: string, disk: string, offset: number): Promise<void> {
  await run('e2fsck', ['-fn', partition])
  await run('dd', copy(partition, disk, `seek=${offset}`))
}

function copy(from: string, to: string, place: string): string[] {
  const flags = ['iflag=skip_bytes', 'oflag=seek_bytes', 'conv=notrunc,sparse']
  return [`if=${from}`, `of=${to}`, `bs=${MiB}`, place, 'status=none', ...flags]
}

async function intoFile(run: Run, path: string, command: string, args: readonly string[]): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await run(command, args, { outputFd: file.fd })
  } finally {
    await file.close()
  }
}
