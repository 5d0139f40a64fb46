/** What an operator logs in to devices with: a key of this machine and a certificate of hours, both made when needed. */
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { callerOf, settle } from '../../images/caller.ts'
import { makeFolder, partName, sweepParts, sync } from '../../images/replace-file.ts'
import { type FleetPlace, fleetFolder } from './fleet-folder.ts'
import { findLoginCa, loginPrincipal } from './login-ca.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Long enough for a day's work, short enough that a lost machine is no key for ever. */
const certificateHours = 8

export interface OperatorLogin {
  /** Files for ssh's IdentityFile, CertificateFile and UserKnownHostsFile. */
  key: string
  certificate: string
  knownHosts: string
  /** When the certificate ends. */
  until: Date
}

/**
 * Signs a new certificate with the fleet's login CA. `loginKey` is the line that the fleet's devices hold, as the server
 * tells it: fails with E_VERIFY where it is another CA's, before a device refuses for a reason that nobody can guess.
 */
export async function operatorLogin(
  run: Run,
  env: Environment,
  place: FleetPlace,
  loginKey: string | null,
): Promise<OperatorLogin> {
  const ca = await findLoginCa(run, env, place)
  if (loginKey !== null && keyOf(loginKey) !== keyOf(ca.line)) {
    throw new FleetsieError(
      'E_VERIFY',
      `the devices of ${place.fleet} trust another login CA than this one`,
      {
        file: ca.path,
        hint: 'copy the file from the machine that made the fleet',
      },
    )
  }
  const folder = await fleetFolder(env, place)
  const key = join(folder, 'login')
  const certificate = join(folder, 'login-cert.pub')
  await sweepParts(folder)
  const work = join(folder, partName())
  try {
    await makeFolder(work, 0o700, undefined)
    const wanted = join(work, 'login.pub')
    await writeFile(wanted, await publicKey(run, env, key, work))
    const until = new Date(Date.now() + certificateHours * 3600_000)
    // Clocks differ: it begins five minutes ago.
    const validity = `-5m:+${certificateHours}h`
    const signing = ['-q', '-s', ca.path, '-I', keyId(env), '-n', loginPrincipal, '-V', validity, wanted]
    await run('ssh-keygen', signing)
    const signed = join(work, 'login-cert.pub')
    await settle(signed, 0o600, callerOf(env))
    await sync(signed)
    await rename(signed, certificate)
    return { key, certificate, knownHosts: join(folder, 'known_hosts'), until }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** The public half of the operator's key, which is made when there is none. */
async function publicKey(run: Run, env: Environment, key: string, work: string): Promise<Buffer> {
  if (!(await readFile(key).catch(() => undefined))) {
    const made = join(work, 'new')
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'fleetsie operator', '-f', made])
    await settle(made, 0o600, callerOf(env))
    await sync(made)
    // Of two processes one wins, and both sign its key.
    await link(made, key).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
  return (await run('ssh-keygen', ['-y', '-P', '', '-f', key])).stdout
}

/** What the devices' sshd writes into its log about who came. */
function keyId(env: Environment): string {
  const user = env['SUDO_USER'] ?? userInfo().username
  return `${user}@${hostname()}`.replace(/[^A-Za-z0-9_.@-]/g, '_').slice(0, 100)
}

function keyOf(line: string): string | undefined {
  return /ssh-ed25519 ([A-Za-z0-9+/]+=*)/.exec(line)?.[1]
}
