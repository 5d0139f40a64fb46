/** The users of an image: passwd(5), shadow(5), group(5), gshadow(5), subuid(5). Lines that are not meant stay as they are. */
import { FleetsieError } from '../../errors.ts'
import type { VolumeEdit } from './volume-edit.ts'

export interface Account {
  name: string
  uid: number
  gid: number
  /** Relative to the top folder. */
  home: string
}

/** Where Debian's users begin and end: UID_MIN and UID_MAX of login.defs(5). */
const firstUid = 1000
const lastUid = 59_999
/** SUB_UID_MIN and SUB_UID_COUNT. */
const subIds = { first: 100_000, count: 65_536 }

export class Accounts {
  private readonly edit: VolumeEdit

  constructor(edit: VolumeEdit) {
    this.edit = edit
  }

  all(): Account[] {
    return this.rows('etc/passwd').flatMap(([name, , uid, gid, , home]) =>
      name && /^\d+$/.test(uid ?? '') && /^\d+$/.test(gid ?? '')
        ? [{ name, uid: Number(uid), gid: Number(gid), home: (home ?? '').replace(/^\/+|\/+$/g, '') }]
        : [],
    )
  }

  /** Who uses the system first: uid 1000, else root. */
  first(): Account {
    const all = this.all()
    const found = all.find(({ uid }) => uid === firstUid) ?? all.find(({ uid }) => uid === 0)
    if (found) return found
    throw new FleetsieError('E_INPUT', 'the image has no user with uid 1000 and no root in /etc/passwd')
  }

  /** The user of this name, who is made when there is none. */
  need(name: string): Account {
    const found = this.all().find((account) => account.name === name)
    if (!found) return this.add(name)
    if (found.uid === 0 || found.uid >= firstUid) return found
    throw new FleetsieError('E_INPUT', `${name} is an account of the image's system (uid ${found.uid})`, {
      hint: 'choose another name for the user',
    })
  }

  setPassword(name: string, hash: string, epoch: number): void {
    this.change('etc/shadow', (rows) => {
      const row = rows.find(([first]) => first === name)
      if (!row) throw new FleetsieError('E_INPUT', `/etc/shadow in the image has no line for ${name}`)
      row[1] = hash
      row[2] = day(epoch)
    })
  }

  private add(name: string): Account {
    const all = this.all()
    const groups = this.rows('etc/group')
    if (groups.some(([group]) => group === name)) {
      throw new FleetsieError('E_INPUT', `the image has a group ${name}, and no user of that name`, {
        hint: 'choose another name for the user',
      })
    }
    const taken = new Set([...all.map(({ uid }) => `${uid}`), ...groups.map(([, , gid]) => gid)])
    let id = firstUid
    while (taken.has(`${id}`)) id++
    if (id > lastUid) throw new FleetsieError('E_INPUT', 'the image has no uid left for a user')
    const shell = this.edit.has('bin/bash') ? '/bin/bash' : '/bin/sh'
    this.append('etc/passwd', [name, 'x', `${id}`, `${id}`, '', `/home/${name}`, shell])
    // Locked, until it gets a password. Its day is not 0: that would ask for a new one.
    this.append('etc/shadow', [name, '!', '19000', '0', '99999', '7', '', '', ''])
    this.append('etc/group', [name, 'x', `${id}`, ''])
    if (this.edit.has('etc/gshadow')) this.append('etc/gshadow', [name, '!', '', ''])
    this.join(name, 'sudo')
    for (const file of ['etc/subuid', 'etc/subgid']) this.addSubIds(file, name)
    return { name, uid: id, gid: id, home: `home/${name}` }
  }

  /** The first user administers: as Debian's installer has it. */
  private join(name: string, group: string): void {
    for (const [file, at] of [
      ['etc/group', 3],
      ['etc/gshadow', 3],
    ] as const) {
      if (!this.edit.has(file)) continue
      this.change(file, (rows) => {
        const row = rows.find(([first]) => first === group)
        if (row) row[at] = [...(row[at] ?? '').split(',').filter((member) => member !== ''), name].join(',')
      })
    }
  }

  private addSubIds(file: string, name: string): void {
    if (!this.edit.has(file)) return
    const ends = this.rows(file).map(([, first, count]) => Number(first) + Number(count) || 0)
    this.append(file, [name, `${Math.max(subIds.first, ...ends)}`, `${subIds.count}`])
  }

  private rows(file: string): string[][] {
    return this.lines(file).map((line) => line.split(':'))
  }

  private lines(file: string): string[] {
    const text = this.edit.read(file)
    if (text === undefined) throw new FleetsieError('E_INPUT', `the image has no /${file}`)
    return text.replace(/\n$/, '').split('\n')
  }

  private append(file: string, row: string[]): void {
    this.change(file, (rows) => rows.push(row))
  }

  private change(file: string, work: (rows: string[][]) => void): void {
    const rows = this.rows(file)
    work(rows)
    this.edit.rewrite(file, `${rows.map((row) => row.join(':')).join('\n')}\n`, { mode: 0o644 })
  }
}

/** Days since 1970, as shadow(5) counts; 0 would ask for a new password. */
function day(epoch: number): string {
  return `${Math.max(1, Math.floor(epoch / 86_400))}`
}
