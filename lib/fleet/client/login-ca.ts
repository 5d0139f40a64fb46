/**
 * The login CA of a fleet: the key on the manager's machine that signs the operators' certificates. Devices take what it
 * signed, and nobody else holds it: the server has its public half only.
 */
import { existsSync } from 'node:fs'
import { link, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { callerOf, settle } from '../../images/caller.ts'
import { makeFolder, partName, sweepParts, sync } from '../../images/replace-file.ts'
import { type FleetPlace, fleetFolder } from './fleet-folder.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Whom the certificates of operators name; the devices' `authorized_keys` lines ask for it. */
export const loginPrincipal = 'fleetsie'

export interface LoginCa {
  /** The private key's file, mode 0600. */
  path: string
  /** The line of a device's authorized_keys: `cert-authority,principals="fleetsie" ssh-ed25519 AAAA… FLEET login`. */
  line: string
}

/** The fleet's login CA, made by ssh-keygen when there is none, once, whoever else makes one at the same time. */
export async function ensureLoginCa(run: Run, env: Environment, place: FleetPlace): Promise<LoginCa> {
  const folder = await fleetFolder(env, place)
  const path = join(folder, 'login_ca')
  if (!existsSync(path)) await makeLoginCa(run, env, folder, path, place)
  return { path, line: await lineOf(run, path, place) }
}

/** The fleet's login CA. Fails with E_RIGHTS where this machine has none. */
export async function findLoginCa(run: Run, env: Environment, place: FleetPlace): Promise<LoginCa> {
  const path = join(await fleetFolder(env, place), 'login_ca')
  if (!existsSync(path)) {
    throw new FleetsieError('E_RIGHTS', `this machine has no login CA of the fleet ${place.fleet}`, {
      file: path,
      hint: 'copy this file, mode 0600, from the machine that made the fleet: `gen` made it there',
    })
  }
  return { path, line: await lineOf(run, path, place) }
}

async function makeLoginCa(
  run: Run,
  env: Environment,
  folder: string,
  path: string,
  { fleet }: FleetPlace,
): Promise<void> {
  const caller = callerOf(env)
  await sweepParts(folder)
  const part = join(folder, partName())
  const key = join(part, 'key')
  try {
    await makeFolder(part, 0o700, undefined)
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', `${fleet} login`, '-f', key])
    await settle(key, 0o600, caller)
    await sync(key)
    // A link never replaces: of two processes, one wins, and both go on with its key.
    await link(key, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(part, { recursive: true, force: true })
  }
  await sync(folder)
}

async function lineOf(run: Run, path: string, { fleet }: FleetPlace): Promise<string> {
  // `-y` would ask for a passphrase at a terminal, where there is one.
  const text = await readFile(path, 'utf8')
  if (!text.startsWith('-----BEGIN OPENSSH PRIVATE KEY-----')) throw unusable(path)
  const { stdout } = await run('ssh-keygen', ['-y', '-P', '', '-f', path], { okCodes: [0, 255] })
  const [type, base64] = stdout.toString().trim().split(' ')
  if (type !== 'ssh-ed25519' || base64 === undefined) throw unusable(path)
  return `cert-authority,principals="${loginPrincipal}" ${type} ${base64} ${fleet} login`
}

function unusable(path: string): FleetsieError {
  return new FleetsieError('E_DAMAGED', 'this is no login CA: an Ed25519 key without a passphrase', {
    file: path,
    hint: 'copy it again from the machine that made the fleet, mode 0600',
  })
}
