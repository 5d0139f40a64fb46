/**
 * Makes debian.lock from what a mirror has now. apt resolves the dependencies, in a folder of its own with settings of
 * its own: neither root nor the release of this machine matter, and its package lists stay as they are.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { compareBytes } from '../../formats/json.ts'
import { callerOf } from '../caller.ts'
import { replaceWithBytes } from '../replace-file.ts'
import { type DebianLock, formatLock, type LockedPackage, mirrorOf, readLock } from './lock.ts'

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** What a new lock asks for. */
const defaults = {
  mirror: 'http://deb.debian.org/debian',
  suites: ['bookworm'],
  requested: [
    ...['apt', 'ca-certificates', 'dbus', 'dosfstools', 'e2fsprogs', 'initramfs-tools', 'iproute2', 'kmod'],
    ...['linux-image-amd64', 'login', 'mount', 'netbase', 'openssh-server', 'passwd', 'procps', 'systemd'],
    ...['systemd-resolved', 'systemd-sysv', 'systemd-timesyncd', 'tzdata', 'udev', 'usr-is-merged', 'zstd'],
  ],
}
const bootloader = ['syslinux', 'syslinux-common']

export interface LockChanges {
  /** Names of packages. */
  added: string[]
  removed: string[]
  changed: string[]
}

/**
 * Makes `file` anew: the packages that it asks for, in the versions that the mirror has. `tmp` is an empty folder.
 * Fails with E_DOWNLOAD (the mirror does not answer, or has no such package), E_TOOL, E_INPUT (the lock is damaged).
 */
export async function refreshLock(file: string, host: { run: Run; tmp: string }): Promise<LockChanges> {
  const old = await readLock(file).catch(noneYet)
  const { mirror, suites, requested } = old ?? defaults
  const apt = await privateApt(host.tmp, host.run, mirrorOf({ mirror }), suites)
  await apt('apt-get', ['update', '--error-on=any'])
  const names = await closure(apt, requested)
  const lock: DebianLock = {
    ...{ format: 1, mirror, suites, architecture: 'amd64', published: await published(host.tmp) },
    requested: [...requested].sort(compareBytes),
    packages: await describe(apt, names),
    bootloader: await describe(apt, bootloader),
  }
  await replaceWithBytes(file, Buffer.from(formatLock(lock)), { mode: 0o644, caller: callerOf(process.env) })
  return compare(old, lock)
}

function noneYet(error: unknown): undefined {
  if (error instanceof FleetsieError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
    return
  throw error
}

type Apt = (command: string, args: readonly string[]) => Promise<string>

/** apt with nothing of this machine in it but the archive's keys. */
async function privateApt(tmp: string, run: Run, mirror: string, suites: readonly string[]): Promise<Apt> {
  for (const folder of [
    'state/lists/partial',
    'cache/archives/partial',
    'etc/preferences.d',
    'empty',
    'log',
  ]) {
    await mkdir(join(tmp, folder), { recursive: true })
  }
  await writeFile(join(tmp, 'status'), '')
  const sources = suites.map((suite) => `deb [arch=amd64 signed-by=${keyring}] ${mirror} ${suite} main\n`)
  await writeFile(join(tmp, 'etc/sources.list'), sources.join(''))
  const settings = {
    'Dir::State': join(tmp, 'state'),
    'Dir::State::status': join(tmp, 'status'),
    'Dir::Cache': join(tmp, 'cache'),
    'Dir::Etc': join(tmp, 'etc'),
    'Dir::Etc::main': '/dev/null',
    'Dir::Etc::parts': join(tmp, 'empty'),
    'Dir::Log': join(tmp, 'log'),
    'APT::Architecture': 'amd64',
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  }
  const lines = Object.entries(settings).map(([key, value]) => `${key} "${value.replaceAll('"', '%22')}";\n`)
  await writeFile(join(tmp, 'apt.conf'), `${lines.join('')}APT::Architectures { "amd64"; };\n`)
  return async (command, args) => {
    const options = { env: { APT_CONFIG: join(tmp, 'apt.conf') }, timeout: 600_000 }
    try {
      return (await run(command, args, options)).stdout.toString('utf8')
    } catch (error) {
      if (!(error instanceof FleetsieError) || error.code !== 'E_STAGE') throw error
      throw new FleetsieError(
        'E_DOWNLOAD',
        `the packages of ${mirror} cannot be resolved: ${error.message}`,
        {
          hint: 'check the network, `mirror` and `requested` in debian.lock; FLEETSIE_DEBIAN_MIRROR names another mirror',
          cause: error,
        },
      )
    }
  }
}

/** The names of all packages that an empty system needs for those `requested`, the essential ones included. */
async function closure(apt: Apt, requested: readonly string[]): Promise<string[]> {
  const text = await apt('apt-get', ['install', '--print-uris', '-qq', '-y', '?essential', ...requested])
  // 'URI' NAME_VERSION_ARCHITECTURE.deb SIZE HASH
  return text.split('\n').flatMap((line) => {
    const match = /^'[^']*' ([a-z0-9][a-z0-9+.-]*)_([^_\s]+)_(?:amd64|all)\.deb \d+ /.exec(line)
    return match ? [`${match[1]}=${decodeURIComponent(match[2] ?? '')}`] : []
  })
}

/** Asks the mirror's lists for file and sum of each NAME or NAME=VERSION. */
async function describe(apt: Apt, names: readonly string[]): Promise<LockedPackage[]> {
  const text = await apt('apt-cache', ['show', '--no-all-versions', ...names])
  const packages = text
    .split(/\n\n+/)
    .filter((paragraph) => paragraph.trim() !== '')
    .map((paragraph): LockedPackage => {
      const field = (key: string): string =>
        new RegExp(`^${key}: (.*)$`, 'm').exec(paragraph)?.[1]?.trim() ?? ''
      return {
        name: field('Package'),
        version: field('Version'),
        architecture: field('Architecture') === 'all' ? 'all' : 'amd64',
        sha256: field('SHA256'),
        size: Number(field('Size')),
        filename: field('Filename'),
      }
    })
  const found = new Set(packages.flatMap((one) => [one.name, `${one.name}=${one.version}`]))
  const missing = names.filter((name) => !found.has(name))
  if (missing.length > 0) {
    throw new FleetsieError('E_DOWNLOAD', `the mirror's lists do not describe ${missing.join(', ')}`)
  }
  return packages.sort((a, b) => compareBytes(a.name, b.name))
}

/** When the newest of the suites was published, as its signed Release file says. */
async function published(tmp: string): Promise<number> {
  const folder = join(tmp, 'state/lists')
  let newest = 0
  for (const name of await readdir(folder)) {
    if (!basename(name).endsWith('_InRelease')) continue
    const date = /^Date: (.*)$/m.exec(await readFile(join(folder, name), 'utf8'))?.[1]
    newest = Math.max(newest, Math.floor(Date.parse(date ?? '') / 1000) || 0)
  }
  if (newest === 0) throw new FleetsieError('E_DOWNLOAD', 'the mirror does not say when it was published')
  return newest
}

function compare(old: DebianLock | undefined, lock: DebianLock): LockChanges {
  const versions = (from: DebianLock | undefined): Map<string, string> =>
    new Map([...(from?.packages ?? []), ...(from?.bootloader ?? [])].map((one) => [one.name, one.version]))
  const [before, after] = [versions(old), versions(lock)]
  return {
    added: [...after.keys()].filter((name) => !before.has(name)),
    removed: [...before.keys()].filter((name) => !after.has(name)),
    changed: [...after]
      .filter(([name, version]) => before.has(name) && before.get(name) !== version)
      .map(([name]) => name),
  }
}
