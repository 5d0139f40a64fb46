/** What is understood of sshd's configuration. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keysRefusedBy, refusedBy } from '../../../../lib/hosts/resources/sshd-access.ts'
import { includesDropIns } from '../../../../lib/hosts/resources/sshd-include.ts'

const dropIn = '/etc/ssh/sshd_config.d/50-fleetsie.conf'

describe('a main configuration', () => {
  const cases: [title: string, text: string, includes: boolean][] = [
    ['of Debian includes drop-ins', '# x\n\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n', true],
    ['may write it in small letters and quotes', '  include "/etc/ssh/sshd_config.d/*.conf"', true],
    ['may use an equals sign', 'Include=/etc/ssh/sshd_config.d/*', true],
    ['may name a folder relative to its own', 'Include other.conf sshd_config.d/*.conf', true],
    ['may name just this file', `Include ${dropIn}`, true],
    ['that is empty includes none', '', false],
    ['that has it in a comment includes none', '#Include /etc/ssh/sshd_config.d/*.conf', false],
    ['that includes other files includes none', 'Include /etc/ssh/other.d/*.conf', false],
    [
      'that includes it for some users only includes none',
      'Match User x\nInclude /etc/ssh/sshd_config.d/*.conf',
      false,
    ],
  ]
  for (const [title, text, includes] of cases) {
    test(title, () => assert.equal(includesDropIns(text, dropIn), includes))
  }
})

describe('a user', () => {
  const login = { user: 'fleetsie_*', groups: ['fleetsie-fleets'] }
  const cases: [title: string, rules: string, keyword: string | undefined][] = [
    ['is let in without rules', '', undefined],
    ['is let in by a pattern', 'allowusers root\nallowusers fleetsie*\n', undefined],
    ['is let in by a pattern with a host', 'allowusers fleetsie_*@10.0.0.0/8', undefined],
    ['is let in by its group', 'allowgroups sudo fleetsie-fleets', undefined],
    ['is kept out where others are let in', 'allowusers root admin', 'AllowUsers'],
    ['is kept out where the pattern is shorter', 'allowusers fleetsie', 'AllowUsers'],
    ['is kept out by a negated pattern', 'allowusers * !fleetsie_*', 'AllowUsers'],
    ['is kept out by name', 'denyusers fleetsie_*', 'DenyUsers'],
    ['is kept out by its group', 'denygroups fleetsie-*', 'DenyGroups'],
    ['is kept out where other groups are let in', 'allowgroups sudo wheel', 'AllowGroups'],
    ['is kept out by the first rule that says so', 'allowgroups sudo\ndenyusers *', 'DenyUsers'],
  ]
  for (const [title, rules, keyword] of cases) {
    test(title, () => assert.equal(refusedBy(rules, login), keyword))
  }
})

describe('keys at home', () => {
  const cases: [title: string, rules: string, keyword: string | undefined][] = [
    ['are read where nothing is said', '', undefined],
    ['are read by default', 'authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2', undefined],
    ['are read beside others', 'authorizedkeysfile /etc/ssh/keys/%u %h/.ssh/authorized_keys', undefined],
    ['are not read where others are', 'authorizedkeysfile /etc/ssh/keys/%u', 'AuthorizedKeysFile'],
    ['are read by a path', 'authorizedkeysfile /home/fleetsie/.ssh/authorized_keys', undefined],
    [
      "are not read where another user's are",
      'authorizedkeysfile /root/.ssh/authorized_keys',
      'AuthorizedKeysFile',
    ],
    ['are not read where none are', 'authorizedkeysfile none', 'AuthorizedKeysFile'],
    ['are worth nothing where no keys are', 'pubkeyauthentication no', 'PubkeyAuthentication'],
  ]
  for (const [title, rules, keyword] of cases) {
    test(title, () => assert.equal(keysRefusedBy(rules, 'fleetsie'), keyword))
  }
})
