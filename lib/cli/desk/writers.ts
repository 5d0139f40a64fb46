/** Who has files of the mounted image open for writing: what they write is not all there yet. */
import { readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { FleetsieError } from '../../errors.ts'
import { holdersOf } from '../../images/desk/holders.ts'

/** O_WRONLY and O_RDWR. */
const writing = 3

/** Fails with E_UNSAFE and names the processes. A shell that works in part_N or reads there is no reason. */
export async function expectNoWriters(folder: string): Promise<void> {
  const top = await realpath(folder)
  const lines: string[] = []
  for (const { pid, command } of await holdersOf(folder)) {
    const paths = await writtenBy(pid, top)
    if (paths.length > 0) lines.push(`  ${pid} ${command}: ${paths.join(', ')}`)
  }
  if (lines.length === 0) return
  throw new FleetsieError('E_UNSAFE', ['files of the image are open for writing by', ...lines].join('\n'), {
    hint: 'close them, or wait until it has ended, then save again',
  })
}

/** Files that the process has open for writing, or mapped so that it writes them. */
async function writtenBy(pid: number, top: string): Promise<string[]> {
  const own = `/proc/${pid}`
  const isMerged = (path: string): boolean => path.startsWith(`${top}/part_`)
  const paths = new Set<string>()
  for (const fd of await readdir(`${own}/fd`).catch(() => [])) {
    const path = await readlink(`${own}/fd/${fd}`).catch(() => '')
    if (!isMerged(path)) continue
    const info = await readFile(`${own}/fdinfo/${fd}`, 'utf8').catch(() => '')
    const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? '0', 8)
    if ((flags & writing) !== 0) paths.add(path)
  }
  for (const line of (await readFile(`${own}/maps`, 'utf8').catch(() => '')).split('\n')) {
    // proc(5): address, rights, offset, device, inode, path.
    const path = /^\S+ .w.s(?:\s+\S+){3}\s+(\/.*)$/.exec(line)?.[1]
    if (path !== undefined && isMerged(path)) paths.add(path)
  }
  return [...paths].map((path) => path.slice(top.length + 1))
}
