/** The programs that stages run: where they are, and what identifies them in a key. */
import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { FleetsieError } from '../errors.ts'
import { pinnedEnvironment, runner } from './process.ts'

/** How to ask for a version, where it is not --version. */
const versionArguments: Record<string, readonly string[]> = {
  debugfs: ['-V'],
  dumpe2fs: ['-V'],
  e2fsck: ['-V'],
  fuse2fs: ['-V'],
  'mkfs.ext4': ['-V'],
  mke2fs: ['-V'],
  // Prints its version above its usage.
  resize2fs: [],
  openssl: ['version'],
  'fsck.fat': ['--help'],
  'mkfs.fat': ['--help'],
  'mkfs.vfat': ['--help'],
}

/** Absolute, symlink-free path of a program, searched as its `Run` will search it. */
export function findTool(name: string): string | undefined {
  for (const folder of pinnedEnvironment('/')['PATH']!.split(':')) {
    if (folder === '') continue
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return realpathSync(path)
    } catch {
      // Not here.
    }
  }
  return undefined
}

interface ToolFacts {
  sha256(file: string): Promise<string>
  toolVersion(sha256: string, ask: () => Promise<string>): Promise<string>
}

/** `version sha256` of a program: its path is left out, because it differs between equal machines. */
export async function toolIdentity(name: string, facts: ToolFacts): Promise<string> {
  const path = findTool(name)
  if (path === undefined) {
    throw new FleetsieError('E_TOOL', `the program \`${name}\` is not installed`, {
      hint: '`fleetsie doctor` prints the command that installs it',
    })
  }
  const sha256 = await facts.sha256(path)
  const version = await facts.toolVersion(sha256, () => askVersion(name, path))
  return `${version} ${sha256}`
}

async function askVersion(name: string, path: string): Promise<string> {
  const run = runner({ home: '/' })
  const anyCode = Array.from({ length: 256 }, (_, code) => code)
  const { stdout, stderr } = await run(path, versionArguments[name] ?? ['--version'], {
    okCodes: anyCode,
    timeout: 10_000,
  })
  return /\d+(?:\.\d+)+\S*/.exec(`${stdout.toString('utf8')}\n${stderr}`)?.[0] ?? 'unknown'
}
