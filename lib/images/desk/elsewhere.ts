/** Mounts of a desk in mount namespaces that are not this process's: in a container, or below `unshare --mount`. */
import { readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { DeskRecord } from './attachment.ts'
import { parseMount } from './mount-info.ts'
import { argumentsOf, listProcesses } from './processes.ts'

/** Fails with E_UNSAFE, naming a process, when the merged views of the record stand in another namespace that this user may see. */
export async function refuseElsewhere(real: string, { parts }: DeskRecord): Promise<void> {
  const targets = new Set(parts.map(({ merged }) => join(real, merged)))
  const seen = new Set([await readlink('/proc/self/ns/mnt')])
  for (const pid of await listProcesses()) {
    const namespace = await readlink(`/proc/${pid}/ns/mnt`).catch(() => undefined)
    if (namespace === undefined || seen.has(namespace)) continue
    seen.add(namespace)
    const text = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '')
    if (!text.split('\n').some((line) => targets.has(parseMount(line)?.target ?? ''))) continue
    const command = (await argumentsOf(pid)).join(' ').slice(0, 200)
    throw new FleetsieError(
      'E_UNSAFE',
      `the image is mounted where process ${pid} is, and not here: ${command}`,
      {
        file: real,
        hint: `unmount it in that shell (or \`sudo nsenter --target ${pid} --mount\`), or end that process`,
      },
    )
  }
}
