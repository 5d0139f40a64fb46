/** Who keeps a desk's mounts busy. */
import { readdir, readFile, readlink, realpath } from 'node:fs/promises'
import type { Holder } from './attachment.ts'
import { tokenVariable } from './mount-programs.ts'
import { argumentsOf, listProcesses } from './processes.ts'

/**
 * The processes that have a file open or mapped below part_N or original/part_N, or that work or run there; one entry
 * for each. A user sees only their own: root sees all. The daemons that serve the mounts are none.
 */
export async function holdersOf(folder: string): Promise<Holder[]> {
  const below = new RegExp(
    `^${escaped(await realpath(folder))}/(?:original/)?part_[0-9]+(?:/|$| \\(deleted\\)$)`,
  )
  const holders: Holder[] = []
  for (const pid of await listProcesses()) {
    const path = await heldBy(pid, below)
    if (path === undefined || (await serves(pid))) continue
    const command =
      (await argumentsOf(pid)).join(' ') || (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => ''))
    holders.push({ pid, command: command.trim().slice(0, 200), path })
  }
  return holders
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')

async function heldBy(pid: number, below: RegExp): Promise<string | undefined> {
  const own = `/proc/${pid}`
  const descriptors = await readdir(`${own}/fd`).catch(() => [])
  const links = ['cwd', 'root', 'exe', ...descriptors.map((fd) => `fd/${fd}`)]
  for (const link of links) {
    const path = await readlink(`${own}/${link}`).catch(() => '')
    if (below.test(path)) return path
  }
  const maps = await readFile(`${own}/maps`, 'utf8').catch(() => '')
  for (const line of maps.split('\n')) {
    // proc(5): address, rights, offset, device, inode, then the path, in which a newline is \012.
    const path = /^(?:\S+\s+){5}(\/.*)$/.exec(line)?.[1]?.replaceAll('\\012', '\n')
    if (path !== undefined && below.test(path)) return path
  }
  return undefined
}

async function serves(pid: number): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
  return environment.split('\0').some((entry) => entry.startsWith(`${tokenVariable}=`))
}
