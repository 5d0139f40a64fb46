/** By which right a script may run in an image: root, or a user namespace with a range of users. */
import { accessSync, constants, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { findTool } from '../../engine/tools.ts'
import { FleetsieError } from '../../errors.ts'

export interface IdRange {
  first: number
  count: number
}

export type Rights = { kind: 'root' } | { kind: 'user'; users: IdRange; groups: IdRange }

/** An image's users and groups go up to 65534, nobody. */
const enough = 65_536
const doctor = '`fleetsie doctor` says what is missing'

/** Fails with E_RIGHTS or E_TOOL, naming what to install or to add. */
export function rightsHere(uid: number = process.getuid?.() ?? -1): Rights {
  if (uid === 0) return { kind: 'root' }
  for (const [program, name] of [
    ['newuidmap', 'uidmap'],
    ['newgidmap', 'uidmap'],
    ['fuse2fs', 'fuse2fs'],
  ] as const) {
    if (findTool(program) !== undefined) continue
    throw new FleetsieError('E_TOOL', `to run a script in an image without root, \`${program}\` is needed`, {
      hint: `apt-get install ${name}, or run as root; ${doctor}`,
    })
  }
  const user = userName(uid)
  const users = rangeOf('/etc/subuid', user, uid)
  const groups = rangeOf('/etc/subgid', user, uid)
  if (!users || !groups) {
    const files = [!users && '/etc/subuid', !groups && '/etc/subgid'].filter(Boolean).join(' and ')
    throw new FleetsieError(
      'E_RIGHTS',
      `to run a script in an image without root, ${files} must give a range of ${enough} to ${user}`,
      {
        hint: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${user}, or run as root; ${doctor}`,
      },
    )
  }
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK)
  } catch (cause) {
    throw new FleetsieError('E_RIGHTS', 'to run a script in an image without root, /dev/fuse is needed', {
      hint: `allow it for everybody, as udev does: sudo chmod 666 /dev/fuse, or run as root; ${doctor}`,
      cause,
    })
  }
  return { kind: 'user', users, groups }
}

function rangeOf(file: string, user: string, uid: number): IdRange | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
  for (const line of text.split('\n')) {
    const [owner, first, count] = line.split(':')
    if ((owner === user || owner === String(uid)) && Number(count) >= enough) {
      return { first: Number(first), count: Number(count) }
    }
  }
  return undefined
}

/** A user without an entry in /etc/passwd has no name. */
function userName(uid: number): string {
  try {
    return userInfo().username
  } catch {
    return String(uid)
  }
}
