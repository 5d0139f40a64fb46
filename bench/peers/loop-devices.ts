/** Mounts and loop devices that a peer which was ended left behind. */
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { PeerWork } from './peer.ts'

/** Unmounts and detaches what is of files below the peer's folder, and nothing else. */
export async function detach({ folder }: PeerWork): Promise<void> {
  if (process.getuid?.() !== 0) return
  const list = ['--list', '--json', '--output', 'NAME,BACK-FILE']
  const text = execFileSync('losetup', list, { encoding: 'utf8' }).trim()
  if (text === '') return
  const { loopdevices } = JSON.parse(text) as { loopdevices: { name: string; 'back-file': string }[] }
  for (const { name, 'back-file': file } of loopdevices) {
    if (!file.startsWith(`${folder}/`)) continue
    const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '))
    const ours = mounts.filter(([device]) => device === name || device?.startsWith(`${name}p`))
    // The innermost first.
    for (const [, at] of ours.reverse()) execFileSync('umount', [at!])
    execFileSync('losetup', ['--detach', name])
  }
}
