/** Says what went wrong around a script: the last line of `steps` tells where. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { Emulator } from './emulator.ts'

const lastLines = 8
const doctor = '`fleetsie doctor` says what is missing'

export interface FailedRun {
  folder: string
  /** For messages. */
  script: string
  network: boolean
  emulator: Emulator | undefined
}

export async function failureOf(
  sandbox: FailedRun,
  exitCode: number,
  stderr: string,
): Promise<FleetsieError> {
  const steps = await readFile(join(sandbox.folder, 'steps'), 'utf8').catch(() => '')
  const step = steps.trimEnd().split('\n').at(-1) ?? ''
  const tail = stderr.trimEnd().split('\n').slice(-lastLines).join('\n')
  const said = tail === '' ? '' : `:\n${tail}`
  const rights = (what: string, hint: string): FleetsieError =>
    new FleetsieError('E_RIGHTS', `${what}${said}`, { hint: `${hint}; ${doctor}` })
  switch (step) {
    case 'script':
      return new FleetsieError('E_STAGE', `${sandbox.script} ended with exit code ${exitCode}${said}`, {
        ...(exitCode === 127 || exitCode === 126 ? { hint: interpreterHint } : {}),
      })
    case 'packages':
      return new FleetsieError('E_STAGE', `installing the packages ended with exit code ${exitCode}${said}`, {
        ...(sandbox.network
          ? {}
          : { hint: 'give the packages that they depend on as well, or allow `network: true`' }),
      })
    case 'namespace':
    case 'map':
      return rights(
        'a user namespace, in which scripts run, cannot be made',
        'allow them: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns',
      )
    case 'lower':
      return rights(
        "the image's filesystem can be mounted neither by the kernel nor by FUSE",
        'install fuse2fs, and give access to /dev/fuse, or to /dev/loop-control as root',
      )
    case 'overlay':
      return rights(
        'the merged tree cannot be mounted',
        'overlayfs in a user namespace needs Linux 5.11, and a store on ext4, xfs or btrfs',
      )
    case 'emulator':
      return new FleetsieError(
        'E_UNSUPPORTED',
        `programs for ${sandbox.emulator?.architecture} cannot be run: this kernel has no binfmt_misc of a user namespace${said}`,
        {
          hint: 'Linux 6.7 or later is needed, or a registration of the host by `apt-get install binfmt-support`',
        },
      )
    case 'setup':
      return rights(
        'the namespaces for the script cannot be set up',
        'run on the machine itself, or in a privileged container',
      )
    case 'capture':
      return new FleetsieError('E_IO', `what was changed cannot be read back${said}`, {
        hint: 'free some space, for example with `fleetsie gc`',
      })
    default:
      return rights(
        'the namespaces for the script cannot be made',
        'run as root, or as a user with a subuid range',
      )
  }
}

const interpreterHint =
  'the image lacks a program that the script calls, or the one that its first line names'
