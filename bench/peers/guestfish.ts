/** libguestfs: a small virtual machine mounts the image and copies the overlays in. */
import { execFileSync } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shellQuoted } from '../../lib/formats/shell.ts'
import { limit, type Peer } from './peer.ts'

export const guestfish: Peer = {
  name: 'guestfish',
  async ready({ workplace, stock, overlays, folder }) {
    const direct = { ...workplace.env, LIBGUESTFS_BACKEND: 'direct' }
    const emulated = { ...direct, LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg' }
    // Where the processor's virtualization cannot be used, it emulates one: slower, the same result.
    const env = starts(direct) === undefined ? direct : emulated
    const why = starts(env)
    if (why !== undefined) throw new Error(why)
    const disk = join(folder, 'disk.img')
    const output = join(folder, 'out.img.xz')
    const script = join(folder, 'commands')
    await writeFile(script, `${(await commands(overlays)).join('\n')}\n`)
    const steps = [
      `xz -dc -T0 ${shellQuoted(stock.path)} > ${shellQuoted(disk)}`,
      `guestfish --rw --format=raw -a ${shellQuoted(disk)} -f ${shellQuoted(script)}`,
      `xz -6 -T0 -c ${shellQuoted(disk)} > ${shellQuoted(output)}`,
    ]
    return {
      subject: { command: 'sh', args: ['-ec', steps.join('\n')], cwd: folder, env, limit },
      output,
      ...(env === emulated ? { about: 'no usable KVM here: it emulates the processor' } : {}),
    }
  },
}

async function commands(overlays: string): Promise<string[]> {
  const lines = ['run']
  for (const part of (await readdir(overlays)).sort()) {
    const folder = join(overlays, part)
    lines.push(`mount /dev/sda${part.replace('part_', '')} /`)
    for (const name of await readdir(folder)) lines.push(`copy-in ${join(folder, name)} /`)
    lines.push('umount /')
  }
  return lines
}

/** Why its machine does not start; undefined when it does. */
function starts(env: NodeJS.ProcessEnv): string | undefined {
  try {
    const stdio = ['ignore', 'ignore', 'pipe'] as const
    execFileSync('guestfish', ['-a', '/dev/null', 'run'], { env, stdio: [...stdio], timeout: 120_000 })
    return undefined
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: Buffer }
    return stderr?.toString().split('\n')[0] || message
  }
}
