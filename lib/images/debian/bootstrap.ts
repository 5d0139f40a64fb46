/** Installs the locked packages into an empty root by mmdebstrap: from the folder of packages alone, without a network. */
import { createWriteStream } from 'node:fs'
import { chmod, cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { compareEntries, type LayerInput, writeLayer } from '../../formats/layer.ts'
import { seedFiles } from './configuration.ts'
import { textEntries } from './entries.ts'
import type { DebianLock } from './lock.ts'

interface Bootstrapping {
  run: Run
  /** An empty folder. */
  tmp: string
  /** Seconds since 1970, for whatever would be of now. */
  epoch: number
}

/** Makes the tar `target` of the installed system. Fails with E_RIGHTS when this user may not map other users. */
export async function bootstrap(
  lock: DebianLock,
  packages: string,
  target: string,
  context: Bootstrapping,
): Promise<void> {
  const root = process.geteuid?.() === 0
  const { run, tmp, epoch } = context
  const seed = join(tmp, 'seed.tar')
  await writeTar(textEntries(seedFiles), seed)
  // Without root, apt runs as a user of a subuid range, who may not enter this user's folders.
  const shared = await mkdtemp(join(root ? tmp : tmpdir(), 'fleetsie-debian-'))
  try {
    const repository = join(shared, 'packages')
    if (root) {
      await symlink(packages, repository)
    } else {
      await chmod(shared, 0o755)
      await cp(packages, repository, { recursive: true })
      await chmod(repository, 0o755)
    }
    const suite = lock.suites[0] ?? ''
    await run(
      'mmdebstrap',
      [
        ...[
          '--quiet',
          `--mode=${root ? 'root' : 'unshare'}`,
          '--variant=apt',
          '--format=tar',
          '--skip=output/dev',
        ],
        ...[`--architectures=${lock.architecture}`, `--include=${lock.requested.join(',')}`],
        // apt's own user may not enter the store's folders; what is read here has been checked by its sum.
        '--aptopt=APT::Sandbox::User "root"',
        // The image is thrown away when the machine goes down meanwhile: nothing needs to be on the disk yet.
        ...['--dpkgopt=force-unsafe-io', '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr'],
        // Relative to `cwd`: these strings are a shell's, and the folder's name may hold anything.
        ...['--setup-hook=tar-in seed.tar /'],
        ...[suite, target, `deb [trusted=yes] copy:${encodeURI(repository)} ./`],
      ],
      { cwd: tmp, env: { SOURCE_DATE_EPOCH: `${epoch}`, TMPDIR: root ? tmp : tmpdir() }, timeout: 3_600_000 },
    )
  } catch (error) {
    if (root || !(error instanceof FleetsieError) || !/unshare|newuidmap|subuid/.test(error.message))
      throw error
    throw new FleetsieError('E_RIGHTS', `packages cannot be installed by this user: ${error.message}`, {
      hint: 'run it as root, or install uidmap and give this user a range in /etc/subuid and /etc/subgid',
      cause: error,
    })
  } finally {
    await rm(shared, { recursive: true, force: true })
  }
}

async function writeTar(entries: LayerInput[], target: string): Promise<void> {
  const sorted = entries.sort((a, b) => compareEntries(a.entry, b.entry))
  await pipeline(Readable.from(writeLayer(sorted)), createWriteStream(target))
}
