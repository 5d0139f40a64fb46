/** Sets overlays/ up: in git, with a file that explains it, and the link that the document calls `my_work`. */
import { lchown, lstat, mkdir, readFile, symlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { type Caller, settle } from '../caller.ts'
import { makeFolder, replaceWithBytes } from '../replace-file.ts'
import { type GitPlace, git, isUnderGit, zeroEnded } from './git.ts'
import { readmeOf } from './readme.ts'
import type { Desk } from './types.ts'

type Place = Pick<Desk, 'folder' | 'run' | 'caller' | 'note'>

// Nothing on the way through git may change a byte of what goes into an image.
const attributes = 'part_*/** -text -filter -ident -working-tree-encoding\n'

/**
 * What is there already stays as it is. In the work tree of a repository that is there overlays/ becomes part of it,
 * else a repository of its own. `image` is the name of the stock image. Fails with E_TOOL without git.
 */
export async function setUpRepository({ folder, run, caller, note }: Place, image: string): Promise<void> {
  const overlays = join(folder, 'overlays')
  if (!(await there(overlays))) {
    await mkdir(overlays)
    await settle(overlays, 0o755, caller)
  }
  if (!(await lstat(overlays)).isDirectory()) {
    throw new FleetsieError('E_UNSAFE', 'overlays has to be a folder', {
      file: overlays,
      hint: 'move it away; a repository that is elsewhere is cloned to overlays/',
    })
  }
  const place: GitPlace = { run, caller, cwd: overlays }
  if (!(await isUnderGit(place))) {
    await git(place, ['-c', 'init.defaultBranch=main', 'init', '-q'])
    note('overlays/ is a git repository now: commit there what you want to keep')
  } else if (!(await there(join(overlays, '.git')))) {
    await leaveOutDesk(place, folder, image)
  }
  await writeWhenAbsent(join(overlays, '.gitattributes'), attributes, caller)
  await writeWhenAbsent(join(overlays, 'README.md'), readmeOf(image), caller)
  const link = join(folder, 'my_work')
  if (!(await there(link))) {
    await symlink('overlays', link)
    if (caller) await lchown(link, caller.uid, caller.gid)
  }
}

async function there(path: string): Promise<boolean> {
  const stats = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  return stats !== undefined
}

async function writeWhenAbsent(path: string, text: string, caller: Caller | undefined): Promise<void> {
  if (!(await there(path))) await replaceWithBytes(path, Buffer.from(text), { mode: 0o644, caller })
}

/** In the repository of a project the image and what is mounted would be new files; its own .gitignore is the user's. */
async function leaveOutDesk(place: GitPlace, folder: string, image: string): Promise<void> {
  const inFolder = { ...place, cwd: folder }
  const names = [
    image,
    '.image',
    '.mounted',
    '.desk/',
    'original/',
    'merged/',
    'my_work',
    '.new_*/',
    'part_[0-9]*/',
  ]
  const probes = names.map((name) => name.replace('*', '1').replace('[0-9]*', '1'))
  const { stdout } = await git(
    inFolder,
    ['check-ignore', '-z', '--no-index', '--stdin'],
    [0, 1],
    `${probes.join('\0')}\0`,
  )
  const known = new Set(zeroEnded(stdout))
  const missing = names.filter((_, index) => !known.has(probes[index]!))
  if (missing.length === 0) return
  const prefix = (await git(inFolder, ['rev-parse', '--show-prefix'])).stdout.toString().replace(/\n$/, '')
  const path = (await git(inFolder, ['rev-parse', '--git-path', 'info/exclude'])).stdout
    .toString()
    .replace(/\n$/, '')
  const file = resolve(folder, path)
  const before = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return ''
  })
  const lines = missing.map((name) => `/${quoted(prefix)}${name === image ? quoted(name) : name}\n`)
  const start = before === '' || before.endsWith('\n') ? before : `${before}\n`
  await makeFolder(dirname(file), 0o755, place.caller)
  await replaceWithBytes(file, Buffer.from(start + lines.join('')), { mode: 0o644, caller: place.caller })
}

/** Characters that have a meaning in a pattern of gitignore(5). */
const quoted = (name: string): string => name.replace(/[\\*?[\] !#]/g, '\\$&')
