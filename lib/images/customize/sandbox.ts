/** Runs packages and script of a stage in the merged tree, and leaves what they changed as one tar file for each partition. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Run, runner } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { Emulator } from './emulator.ts'
import { attachScript, enterScript, insideScript, stageScript } from './namespaces.ts'
import type { Rights } from './rights.ts'
import type { Mounted } from './root.ts'
import { failureOf } from './sandbox-error.ts'

export interface SandboxPart extends Mounted {
  /** Of the partition's top folder. */
  top: { mode: number; uid: number; gid: number }
}

export interface Sandbox {
  run: Run
  rights: Rights
  /** Holds `in/`, and N/seed.tar for each part; `changes.tar` is put beside it. */
  folder: string
  disk: string
  parts: readonly SandboxPart[]
  /** Where /proc, /dev, /run and /tmp of the image are, and its resolv.conf; without links on the way. */
  places: { proc: string; dev: string; run: string; tmp: string; resolv: string }
  network: boolean
  emulator: Emulator | undefined
  epoch: number
  /** The script names no interpreter. */
  byShell: boolean
  /** For messages. */
  script: string
  /** Seconds. */
  timeout: number
}

const any = Array.from({ length: 256 }, (_, code) => code)

/** Fails with E_STAGE (a script or a package), E_TIMEOUT, E_RIGHTS, E_INTERRUPTED. Nothing stays mounted or running. */
export async function runSandbox(sandbox: Sandbox): Promise<void> {
  const { run, folder, rights, parts } = sandbox
  const namespaces = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--fork',
    '--kill-child',
    '--',
  ]
  const stage = ['sh', '-c', stageScript, 'stage', ...parts.flatMap(stageArguments)]
  const { proc, dev, run: runPlace, tmp, resolv } = sandbox.places
  const inside = [
    proc,
    dev,
    runPlace,
    tmp,
    resolv,
    String(sandbox.epoch),
    sandbox.byShell ? 'shell' : 'itself',
  ]
  const entered = [...enter(rights, folder), ...namespaces, ...stage, '--', ...inside]
  const command = rights.kind === 'root' ? [...attach(sandbox), ...entered] : entered
  try {
    const { exitCode, stderr } = await run(command[0]!, command.slice(1), {
      cwd: folder,
      env: {
        CUSTOMIZE_INSIDE: insideScript,
        CUSTOMIZE_NETWORK: sandbox.network ? 'yes' : 'no',
        CUSTOMIZE_EMULATOR: sandbox.emulator?.registration ?? '',
        CUSTOMIZE_ARCHITECTURE: sandbox.emulator?.architecture ?? '',
      },
      input: untilClosed,
      okCodes: any,
      timeout: sandbox.timeout * 1000,
    })
    if (exitCode !== 0) throw await failureOf(sandbox, exitCode, stderr)
  } catch (error) {
    await removeRun(sandbox)
    if (!(error instanceof FleetsieError) || error.code !== 'E_TIMEOUT') throw error
    throw new FleetsieError('E_TIMEOUT', `${sandbox.script} was ended after ${sandbox.timeout} s`, {
      hint: 'find out what it waits for: it gets no input; `timeout` sets another limit, in seconds',
      cause: error,
    })
  }
}

/** Removes the folder of a run, with what belongs to users that only a user namespace of ours can act for. */
export async function removeRun({ folder, rights }: Pick<Sandbox, 'folder' | 'rights'>): Promise<void> {
  if (rights.kind === 'user') {
    const [command, ...args] = enter(rights, '')
    // Not bound to the build's signal: after Ctrl-C this has to be done all the same.
    const run = runner({ home: folder })
    const targets = ['rm', '-rf', '--', folder]
    await run(command!, [...args, ...targets], { cwd: join(folder, '..'), input: untilClosed, okCodes: any })
  }
  await rm(folder, { recursive: true, force: true })
}

/** The open pipe tells the processes in there that we still live. */
const untilClosed = (stdin: NodeJS.WritableStream): Promise<void> =>
  new Promise((resolve) => stdin.once('close', () => resolve()))

function enter(rights: Rights, leftover: string): string[] {
  const ranges =
    rights.kind === 'root'
      ? ['root', '', '', '', '']
      : ['user', ...[rights.users, rights.groups].flatMap(({ first, count }) => [`${first}`, `${count}`])]
  return ['sh', '-c', enterScript, 'enter', ...ranges, leftover]
}

function attach({ disk, parts }: Sandbox): string[] {
  const mounts = parts.filter(({ kind }) => kind === 'ext')
  return [
    ...['unshare', '--mount', '--propagation', 'private', '--', 'sh', '-c', attachScript, 'attach'],
    `${mounts.length}`,
    ...mounts.flatMap(({ partition }) => [
      disk,
      `${partition.offset}`,
      `${partition.size}`,
      `${partition.number}/lower`,
    ]),
  ]
}

function stageArguments({ kind, partition, at, top }: SandboxPart): string[] {
  const mode = top.mode.toString(8).padStart(4, '0')
  return [kind, `${partition.number}`, at, mode, `${top.uid}:${top.gid}`, `${partition.offset}`]
}
