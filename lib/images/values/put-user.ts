/** The user, the password and the ssh keys. */
import { FleetsieError } from '../../errors.ts'
import { lookUp } from '../os/volume-file.ts'
import { shown } from '../volume.ts'
import { type Account, Accounts } from './accounts.ts'
import type { Card } from './card.ts'
import { enableUnit, findUnit, isEnabled } from './systemd.ts'
import type { DeviceValues } from './types.ts'
import { latin1, type VolumeEdit } from './volume-edit.ts'

/** `hash` is of the password, as crypt(5) has it. Fails with E_INPUT where the image cannot have such a user. */
export function putUser(card: Card, values: DeviceValues, hash: string | undefined, epoch: number): void {
  const { user, sshKeys } = values
  for (const root of card.roots) {
    const accounts = new Accounts(root)
    let account: Account
    if (renames(root) && (user !== undefined || hash !== undefined)) {
      account = accounts.first()
      putUserconf(card, user ?? account.name, hash)
    } else {
      account = user === undefined ? accounts.first() : accounts.need(user)
      if (hash !== undefined) accounts.setPassword(account.name, hash, epoch)
    }
    if (user !== undefined || sshKeys.length > 0) makeHome(root, account)
    if (sshKeys.length > 0) putKeys(root, account, sshKeys)
  }
}

/** Raspberry Pi OS renames its first user at the first boot, with home and groups: package userconf-pi. */
function renames(root: VolumeEdit): boolean {
  return root.has('usr/lib/userconf-pi/userconf')
}

/** https://www.raspberrypi.com/documentation/computers/configuration.html#configure-a-user-manually */
function putUserconf(card: Card, name: string, hash: string | undefined): void {
  if (!card.boot) {
    throw new FleetsieError(
      'E_INPUT',
      'Raspberry Pi OS takes its user from userconf.txt on the boot partition, which is not among those written',
      { hint: 'give the boot partition as well, or the whole card' },
    )
  }
  // What userconf-service asks of a name.
  if (!/^[a-z][a-z0-9-]*$/.test(name)) {
    throw new FleetsieError('E_INPUT', `Raspberry Pi OS takes no user called ${name}`, {
      hint: 'its names have small letters, digits and hyphens, and begin with a letter',
    })
  }
  if (name === 'root') throw new FleetsieError('E_INPUT', 'Raspberry Pi OS takes no user called root')
  // An asterisk is no password's hash: nobody logs in by one.
  card.boot.write('userconf.txt', Buffer.from(`${name}:${hash ?? '*'}\n`), { mode: 0o600 })
}

function makeHome(root: VolumeEdit, { name, uid, gid, home }: Account): void {
  if (home === '' || home === 'nonexistent') {
    throw new FleetsieError('E_INPUT', `${name} has no home folder in the image`)
  }
  if (root.isFolder(home)) return
  root.folder(home, { mode: uid === 0 ? 0o700 : 0o750, uid, gid })
  copySkeleton(root, 'etc/skel', home, { uid, gid })
}

function copySkeleton(root: VolumeEdit, from: string, to: string, owner: { uid: number; gid: number }): void {
  for (const name of root.list(from)) {
    const path = `${from}/${name}`
    const id = lookUp(root.volume, path)
    if (id === undefined) continue
    const { type, mode } = root.volume.node(id)
    if (type === 'directory') {
      root.folder(`${to}/${name}`, { mode, ...owner })
      copySkeleton(root, path, `${to}/${name}`, owner)
    } else if (type === 'file') {
      root.write(`${to}/${name}`, Buffer.from(root.read(path) ?? '', 'latin1'), { mode, ...owner })
    } else if (type === 'symlink') {
      root.link(`${to}/${name}`, shown(root.volume.target(id)))
    }
  }
}

/** sshd(8): neither folder nor file may be writable by others. */
function putKeys(root: VolumeEdit, { uid, gid, home }: Account, keys: readonly string[]): void {
  const server = findUnit(root, ['ssh.service', 'sshd.service'])
  if (!root.has('usr/sbin/sshd') || server === undefined) {
    throw new FleetsieError('E_INPUT', 'an ssh key is given, and the image has no ssh server', {
      hint: 'build the image with openssh-server, or leave ssh-key out',
    })
  }
  const folder = `${home}/.ssh`
  root.folder(folder, { mode: 0o700, uid, gid })
  const file = `${folder}/authorized_keys`
  const before = root.read(file) ?? ''
  const has = new Set(before.split('\n'))
  const added = keys.map(latin1).filter((key) => !has.has(key))
  const start = before === '' || before.endsWith('\n') ? before : `${before}\n`
  root.rewrite(file, `${start}${added.map((key) => `${key}\n`).join('')}`, { mode: 0o600, uid, gid })
  const enabled = ['ssh.service', 'sshd.service', 'ssh.socket', 'sshd.socket'].some((unit) =>
    isEnabled(root, unit),
  )
  // Raspberry Pi OS ships it off.
  if (!enabled) enableUnit(root, server, 'multi-user.target.wants')
}
