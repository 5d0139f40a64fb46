/** A file that behaves as a script says: nbdkit's eval plugin behind FUSE. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { tool, toolEnvironment } from './disks.ts'

/** Shell: $3 is the count and $4 the offset, bytes; $f is a file in which bytes can be kept. */
export interface Behaviour {
  get_size: string
  pread: string
  pwrite?: string
}

/** Its path, once it can be opened, and that of $f. It is unmounted after the test. */
export async function virtualDisk(
  test: TestContext,
  behaviour: Behaviour,
): Promise<{ path: string; kept: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-virtual-'))
  const mountpoint = join(folder, 'mnt')
  const kept = join(folder, 'kept')
  mkdirSync(mountpoint)
  const scripts = { can_write: 'exit 0', can_flush: 'exit 0', flush: 'exit 0', ...behaviour }
  const keys = Object.entries(scripts).map(([name, script]) => `${name}=f=${kept}; ${script}`)
  const nbdkit = ['nbdkit', '-s', '--exit-with-parent', 'eval', ...keys]
  const told = join(folder, 'told')
  mkdirSync(told)
  const watcher = watch(told)
  const mounted = once(watcher, 'change')
  const args = ['-P', join(told, 'pid'), join(mountpoint, 'disk'), '--command', ...nbdkit]
  const nbdfuse = spawn('nbdfuse', args, { stdio: 'ignore', env: toolEnvironment })
  const ended = once(nbdfuse, 'exit')
  test.after(async () => {
    if (nbdfuse.exitCode === null) {
      tool('fusermount3', ['-u', '-z', mountpoint])
      nbdfuse.kill()
      await ended
    }
    rmSync(folder, { recursive: true, force: true })
  })
  const early = ended.then(() => assert.fail('nbdfuse ended at once'))
  await Promise.race([mounted, early]).finally(() => watcher.close())
  early.catch(() => {})
  return { path: join(mountpoint, 'disk'), kept }
}
