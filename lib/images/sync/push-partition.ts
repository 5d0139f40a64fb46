/** Brings one partition of a running device up to its layers. */
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { FleetsieError } from '../../errors.ts'
import type { PartitionInfo } from '../partition-table.ts'
import { openVolume } from '../read-tree.ts'
import { shown, type Volume } from '../volume.ts'
import { withWindow } from '../window.ts'
import { memberNames, pushArchive, type Receiver } from './archive.ts'
import type { Connection } from './connection.ts'
import type { IndexedEntry } from './index-layers.ts'
import { mountsBelow } from './places.ts'
import { deletedOf, driverCommand, planScript } from './script.ts'
import { type Steps, stepsBetween } from './steps.ts'
import { type WantedTree, wantedTree } from './wanted.ts'

/** What a push has done. */
export interface Pushed {
  /** All that is no folder. */
  files: number
  /** Contents of files. */
  bytes: number
  /** Names that went away. */
  deleted: number
  ms: number
}

export interface PartitionPush {
  connection: Connection
  disk: string
  partition: PartitionInfo
  /** Where the device has it; '' is the root. */
  mount: string
  /** The lowest first. */
  layers: readonly { path: string; entries: readonly IndexedEntry[] }[]
  pushed: WantedTree
  signal: AbortSignal
  warn(line: string): void
  /** From now on the device may change. */
  sending(): void
}

/** Answers with what the partition holds now. */
export function pushPartition(push: PartitionPush): Promise<Omit<Pushed, 'ms'> & { wanted: WantedTree }> {
  return withWindow(push.disk, push.partition, 'r', async (window) => {
    const volume = openVolume(window, push.partition)
    const wanted = await wantedTree(volume, push.layers)
    const steps = uncovered(push, stepsBetween(volume, push.pushed, wanted))
    const bytes = steps.items.reduce(
      (sum, { content, linkTo }) => sum + (linkTo || !content ? 0 : content.size),
      0,
    )
    const files = steps.items.filter(({ type }) => type !== 'directory').length
    const deleted = steps.items.length + steps.removals.length > 0 ? await send(push, volume, steps) : 0
    return { files, bytes, deleted, wanted }
  })
}

/** Without what another mount hides: in the image it would be hidden as well. */
function uncovered({ connection, mount, warn, partition }: PartitionPush, steps: Steps): Steps {
  const below = mountsBelow(mount, connection.probe.mounts)
  const hidden = (path: string): boolean => {
    const whole = `${mount}/${path}`
    const by = below.find((at) => whole === at || whole.startsWith(`${at}/`))
    if (by === undefined) return false
    warn(
      `what part_${partition.number} has for ${shown(by)} is left out: the device has another filesystem mounted there`,
    )
    return true
  }
  return {
    removals: steps.removals.filter(({ path }) => !hidden(path)),
    items: steps.items.filter(({ path }) => !hidden(path)),
  }
}

async function send(push: PartitionPush, volume: Volume, steps: Steps): Promise<number> {
  const { connection, partition, mount, signal } = push
  const { gnuTar, rights } = connection.probe
  const receiver: Receiver = { fat: volume.foldsCase, gnuTar }
  if (!gnuTar && steps.items.some(({ attributes }) => attributes.xattrs.size > 0)) {
    push.warn('files go without their extended attributes: the tar there is not GNU tar and cannot set them')
  }
  const names = memberNames(
    steps.items,
    push.layers.map(({ path }) => path),
  )
  const plan = planScript(steps, names, receiver.fat)
  const command = driverCommand(mount, { sudo: rights === 'sudo', gnuTar, fat: receiver.fat })

  // Once the device may have the plan, only its end tells what has become of it.
  const killer = new AbortController()
  const stop = (): void => killer.abort()
  signal.addEventListener('abort', stop, { once: true })
  const committing = (): void => {
    if (signal.aborted) throw new FleetsieError('E_INTERRUPTED', 'the push was interrupted')
    signal.removeEventListener('abort', stop)
    push.sending()
  }
  try {
    const archive = pushArchive(volume, names, plan, receiver, committing)
    const input = async (stdin: Writable): Promise<void> => {
      // Who broke the pipe says why by its exit code.
      await pipeline(archive, stdin).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
      })
    }
    const { exitCode, stdout, stderr } = await connection.run(command, killer.signal, { input })
    const deleted = deletedOf(stdout.toString('latin1'))
    if (exitCode === 0 && deleted !== undefined) return deleted
    throw refused(partition.number, stderr)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function refused(number: number, stderr: string): FleetsieError {
  const said = stderr.trim().split('\n').slice(-8).join('\n')
  const what = `partition ${number} of the device could not be brought up to date`
  return new FleetsieError('E_STAGE', `${what}${said ? `:\n${said}` : ', and it does not say why'}`, {
    ...(/Read-only file system/.test(said) && { hint: '`mount -o remount,rw` makes it writable' }),
    ...(/No space left on device/.test(said) && { hint: 'its disk is full: make room there' }),
  })
}
