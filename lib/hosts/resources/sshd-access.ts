/** Whether sshd lets certain users in at all. What an administrator has decided about that is not changed, only told. */
import { FleetsieError } from '../../errors.ts'
import { decoded, type Resource } from './resource.ts'

/** Someone who has to be let in, with the groups that the user is or will be in. */
export interface Login {
  user: string
  groups: readonly string[]
  /** Whether the configuration as it is has to take the keys of the user's own `.ssh/authorized_keys`. */
  byKey?: boolean
}

// Where systemd listens for sshd, its folder comes and goes with connections; without it sshd says nothing.
const check = `[ -d /run/sshd ] || mkdir -m 755 /run/sshd
sshd -T -C "user=$1,host=localhost,addr=127.0.0.1" 2>/dev/null |
	grep -E '^((allow|deny)(users|groups)|pubkeyauthentication|authorizedkeysfile) ' | encoded rules`

/** Fails before anything of the machine is changed. */
export function sshdAccess(logins: readonly Login[]): Resource {
  const keyed = logins.find(({ byKey }) => byKey)?.user
  const refused = (rules: string): string | undefined => {
    const found = logins.flatMap((login) => {
      const keyword = refusedBy(rules, login) ?? (login.byKey ? keysRefusedBy(rules, login.user) : undefined)
      return keyword === undefined ? [] : [`${keyword} keeps out ${login.user}`]
    })
    return found.length === 0 ? undefined : found.join(', ')
  }
  return {
    name: 'sshd logins',
    check: { text: check, args: [keyed ?? 'nobody'] },
    diff: (facts) => {
      const because = refused(decoded(facts, 'rules') ?? '')
      return because === undefined ? undefined : { because }
    },
    // No one but the administrator can apply this.
    apply: async () => {},
    prepare: async (facts) => {
      const because = refused(decoded(facts, 'rules') ?? '')
      if (because === undefined) return
      const remedy = keySettings.find((setting) => because.includes(setting.split(' ')[0]!))
      throw new FleetsieError('E_UNSAFE', `${because}; nothing was changed`, {
        hint: remedy
          ? `in /etc/ssh/sshd_config let \`Match User ${keyed}\` have ${remedy}`
          : `add ${logins.map(({ user }) => user).join(' and ')}, or their groups, in /etc/ssh/sshd_config`,
      })
    },
  }
}

const keysFile = 'AuthorizedKeysFile'
const keysAtAll = 'PubkeyAuthentication'
/** What lets somebody in by a key. */
const keySettings = [`${keysFile} .ssh/authorized_keys`, `${keysAtAll} yes`]

/** The keyword by which sshd reads no keys in the home of `user`. */
export function keysRefusedBy(rules: string, user: string): string | undefined {
  if (/^pubkeyauthentication no$/m.test(rules)) return keysAtAll
  const [, files] = /^authorizedkeysfile (.*)$/m.exec(rules) ?? []
  if (files === undefined) return undefined
  const atHome = new RegExp(`(?:^| )(?:\\S*(?:%[hu]|/${user})/)?\\.ssh/authorized_keys(?: |$)`)
  return atHome.test(files) ? undefined : keysFile
}

/** The keyword that keeps a user out, in sshd's order: DenyUsers, AllowUsers, DenyGroups, AllowGroups. */
export function refusedBy(rules: string, { user, groups }: Login): string | undefined {
  const lists = new Map<string, string[]>()
  for (const line of rules.split('\n')) {
    const [keyword = '', ...patterns] = line.trim().split(/\s+/)
    if (keyword !== '') lists.set(keyword, [...(lists.get(keyword) ?? []), ...patterns])
  }
  const list = (keyword: string): string[] => lists.get(keyword) ?? []
  if (matches(list('denyusers'), [user])) return 'DenyUsers'
  if (lists.has('allowusers') && !matches(list('allowusers'), [user])) return 'AllowUsers'
  if (matches(list('denygroups'), groups)) return 'DenyGroups'
  if (lists.has('allowgroups') && !matches(list('allowgroups'), groups)) return 'AllowGroups'
  return undefined
}

/** USER@HOST counts for some hosts, and nobody knows where devices come from: its host is left out of account. */
function matches(patterns: readonly string[], names: readonly string[]): boolean {
  const one = (pattern: string, name: string): boolean => {
    const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&')
    return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(name)
  }
  const wanted = patterns.map((pattern) => pattern.replace(/@.*$/, ''))
  return names.some((name) => {
    const not = wanted.some((pattern) => pattern.startsWith('!') && one(pattern.slice(1), name))
    return !not && wanted.some((pattern) => !pattern.startsWith('!') && one(pattern, name))
  })
}
