/** Small disks made by real tools, read and patched as bytes. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Growth, ReadAt } from '../../lib/formats/random-access.ts'

export const MiB = 1024 * 1024

/** The tools of /sbin as well, in English, whatever the user's shell has. */
export const toolEnvironment = {
  ...process.env,
  PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
  LC_ALL: 'C.UTF-8',
}

/** Runs a judge and gives its stdout; what it exits with unless 0 is an Error with its stderr. */
export function tool(command: string, args: readonly string[], input: string | Buffer = ''): string {
  return execFileSync(command, [...args], { input, encoding: 'utf8', env: toolEnvironment, stdio: 'pipe' })
}

/** For `skip`: why a test cannot run without these programs, or false. */
export function missing(...programs: string[]): string | false {
  const absent = programs.filter((program) => {
    try {
      tool('which', [program])
      return false
    } catch {
      return true
    }
  })
  return absent.length > 0 && `needs ${absent.join(', ')}`
}

interface SfdiskTable {
  id: string
  partitions: Record<string, string | number | boolean>[]
}

/** The partition table as sfdisk sees it. */
export function sfdiskTable(path: string): SfdiskTable {
  const output = tool('sfdisk', ['--json', path])
  // It may remark on empty EBRs first.
  return JSON.parse(output.slice(output.indexOf('{'))).partitiontable
}

/** An image file in a folder of its own, made by an sfdisk script. */
export class TestDisk {
  readonly folder = mkdtempSync(join(tmpdir(), 'fleetsie-disk-'))
  readonly path = join(this.folder, 'disk.img')

  constructor(size: number, script?: string) {
    writeFileSync(this.path, '')
    truncateSync(this.path, size)
    // Without these two it sleeps for a quarter of a second, for udev's sake.
    if (script !== undefined)
      tool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', this.path], script)
  }

  bytes(): Buffer {
    return readFileSync(this.path)
  }

  /** Changes the image's bytes, and its size when `change` gives other ones back. */
  edit(change: (bytes: Buffer) => Buffer | undefined): void {
    const bytes = this.bytes()
    writeFileSync(this.path, change(bytes) ?? bytes)
  }

  apply(growth: Growth): void {
    truncateSync(this.path, growth.diskSize)
    this.edit((bytes) => {
      for (const patch of growth.patches) patch.bytes.copy(bytes, patch.offset)
      return undefined
    })
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export function readerOf(bytes: Buffer): ReadAt {
  return async (offset, length) => Buffer.from(bytes.subarray(offset, offset + length))
}
