/** Where things lie in a store's folder, and how that folder comes into being. */
import {
  chmodSync,
  closeSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { notWritable } from './sqlite.ts'
import { newerStore, storeVersion } from './version.ts'

const folders = ['objects', 'stage', 'carried', 'memo', 'locks', 'leases', 'logs'] as const
const tag = `Signature: 8a477f597d28d172789f06886806bc55
# A store of fleetsie. All in here can be made again.
# See https://bford.info/cachedir/
`

export class Layout {
  readonly folder: string
  readonly objects: string
  readonly stage: string
  readonly carried: string
  readonly memo: string
  readonly locks: string
  readonly leases: string
  readonly logs: string
  readonly database: string
  readonly reserved: string
  /** Whose the store is, when this is root and the store somebody else's. */
  #owner: { uid: number; gid: number } | undefined

  constructor(folder: string) {
    this.folder = resolve(folder)
    this.objects = join(this.folder, 'objects')
    this.stage = join(this.folder, 'stage')
    this.carried = join(this.folder, 'carried')
    this.memo = join(this.folder, 'memo')
    this.locks = join(this.folder, 'locks')
    this.leases = join(this.folder, 'leases')
    this.logs = join(this.folder, 'logs')
    this.database = join(this.folder, 'db.sqlite')
    this.reserved = join(this.folder, 'reserved')
  }

  /** Gives what root made under sudo to the store's owner, who must be able to use it and throw it away. */
  own(path: string): void {
    if (this.#owner) lchownSync(path, this.#owner.uid, this.#owner.gid)
  }

  /** As `own`, for a folder and all that is in it. What is the owner's already keeps its ctime. */
  ownTree(path: string): void {
    if (!this.#owner) return
    const stat = lstatSync(path)
    if (stat.uid !== this.#owner.uid || stat.gid !== this.#owner.gid) this.own(path)
    if (!stat.isDirectory()) return
    for (const name of readdirSync(path)) this.ownTree(join(path, name))
  }

  /** Makes a folder below the store. */
  makeFolder(path: string): void {
    try {
      mkdirSync(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
      throw error
    }
    // Whatever the umask: what is in a store is no secret, and others read it under sudo.
    chmodSync(path, 0o755)
    this.own(path)
  }

  /** Makes what is missing, and refuses a folder that is no store or one of a later version. */
  prepare(readOnly: boolean): void {
    try {
      if (!readOnly) makeWithOwner(this.folder)
      this.#readOwner()
      const known = this.#readVersion()
      if (readOnly) {
        if (!known) throw noStore(this.folder)
        return
      }
      if (!known) this.#checkEmpty()
      for (const name of folders) this.makeFolder(join(this.folder, name))
      if (known) return
      this.#writeWhole('CACHEDIR.TAG', tag)
      this.#writeWhole('version', `${storeVersion}\n`)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (readOnly && code === 'ENOENT') throw noStore(this.folder)
      if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') throw notWritable(this.folder, error)
      if (code === 'ENOTDIR' || code === 'EEXIST') {
        throw new FleetsieError('E_IO', 'the place of the store is taken by a file', {
          file: this.folder,
          hint: 'set FLEETSIE_STORE to a folder',
          cause: error,
        })
      }
      throw error
    }
  }

  #readOwner(): void {
    const { uid, gid } = statSync(this.folder)
    this.#owner = process.geteuid?.() === 0 && (uid !== 0 || gid !== 0) ? { uid, gid } : undefined
  }

  #readVersion(): boolean {
    const file = join(this.folder, 'version')
    let text: string
    try {
      text = readFileSync(file, 'utf8').slice(0, 100).trim()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
    if (!/^[1-9][0-9]{0,8}$/.test(text)) {
      throw new FleetsieError('E_STORE', 'the version of the store is not a number', {
        file,
        hint: `move ${this.folder} away; what it held is built again`,
      })
    }
    if (Number(text) > storeVersion) throw newerStore(file, Number(text), storeVersion)
    return true
  }

  // The store removes what it does not know below its folders: that must never be somebody's own folder.
  #checkEmpty(): void {
    const ours =
      /^(objects|stage|carried|memo|locks|leases|logs|CACHEDIR\.TAG|reserved|(db\.sqlite|CACHEDIR\.TAG|version).*)$/
    const strange = readdirSync(this.folder).filter((name) => !ours.test(name))
    const full = (['objects', 'stage', 'carried', 'memo'] as const).filter((name) => !isEmpty(this[name]))
    if (strange.length === 0 && full.length === 0) return
    throw new FleetsieError(
      'E_UNSAFE',
      `the folder holds other things (${[...strange, ...full][0]}) and no store`,
      {
        file: this.folder,
        hint: 'set FLEETSIE_STORE to an empty folder or to one that does not exist yet',
      },
    )
  }

  #writeWhole(name: string, text: string): void {
    const temporary = join(this.folder, `${name}.${process.pid}`)
    const fd = openSync(temporary, 'w', 0o644)
    writeSync(fd, text)
    closeSync(fd)
    this.own(temporary)
    renameSync(temporary, join(this.folder, name))
  }
}

// A store that root makes below somebody's cache folder is theirs.
function makeWithOwner(folder: string): void {
  const made: string[] = []
  let parent = folder
  while (!exists(parent)) {
    made.unshift(parent)
    parent = dirname(parent)
  }
  if (made.length === 0) return
  const { uid, gid } = statSync(parent)
  mkdirSync(folder, { recursive: true })
  if (process.geteuid?.() === 0) for (const path of made) lchownSync(path, uid, gid)
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

function isEmpty(folder: string): boolean {
  return !exists(folder) || readdirSync(folder).length === 0
}

function noStore(folder: string): FleetsieError {
  return new FleetsieError('E_STORE', 'there is no store', {
    file: folder,
    hint: 'build once as the user whose store it is, or set FLEETSIE_STORE',
  })
}
