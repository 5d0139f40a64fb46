/** fleetsie_provision with a fleet.txt: the claim, what it writes, what it says when it stops, and that it goes on from there. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { otpOf } from '../helpers/device-root.ts'
import {
  type Case,
  fails,
  log,
  onDisk,
  replied,
  stopped,
  succeeds,
  underEveryShell,
} from '../helpers/provision-cases.ts'

const ssh = 'home/fleetsie/.ssh'

const cases: Case[] = [
  { title: 'claims the lowest device and becomes it', prepare: () => {}, check: succeeds() },
  {
    title: 'leaves out what claimed.txt names, whatever its line ends are',
    prepare: onDisk('claimed.txt', '\ufeff1\r\n2'),
    check(ended, device) {
      succeeds(3)(ended, device)
      assert.equal(device.onDisk('claimed.txt'), '\ufeff1\r\n2\n3\n')
    },
  },
  {
    title: 'takes a proposed number, or one above it, after Try',
    prepare(device) {
      device.write('fake/server/claim-1', 'another\n')
      device.write('fake/server/claim-2', 'another\n')
    },
    check: succeeds(3),
  },
  {
    title: 'says so when the fleet is full',
    prepare(device) {
      for (const id of [1, 2, 3]) device.write(`fake/server/claim-${id}`, 'another\n')
    },
    check: fails(/fleet field has no unclaimed device left/),
  },
  {
    title: 'goes on to the next when the server does not know a password',
    prepare: (device) => device.write('fake/server/otps', `2 ${otpOf(2)}\n3 ${otpOf(3)}\n`),
    check: (ended, device) => {
      assert.equal(ended.status, 0, ended.said)
      assert.equal(device.read('etc/hostname'), 'field-2\n')
    },
  },
  {
    title: 'says what the server says',
    ...replied(
      'Error\nhardware id \x1b[31m%s $(touch /tmp/run) already registered\n',
      /the server says: hardware id/,
    ),
  },
  {
    title: 'waits and tries again while there is no connection',
    prepare: (device) => device.write('fake/fails', 'ssh: connect to host: Connection refused\n'.repeat(7)),
    check(ended, device) {
      succeeds()(ended, device)
      assert.equal(ended.said.match(/no answer: .*Connection refused; tries again/g)?.length, 7)
    },
  },
  {
    title: 'gives up for this boot when there is none for long',
    prepare: (device) =>
      device.write('fake/fails', 'ssh: connect to host: Connection timed out\n'.repeat(30)),
    check: fails(/the server has not answered: ssh: connect to host: Connection timed out/),
  },
  {
    title: 'does not go on with a server that has another host key',
    prepare: (device) => device.write('fake/fails', 'Host key verification failed.\n'.repeat(30)),
    check(ended, device) {
      stopped(ended, device, /another host key than line 3 of fleet.txt/)
      assert.equal(device.read('fake/ssh-calls')!.trim().split('\n').length, 1)
    },
  },
  {
    title: 'says that the disk has expired when its key is refused',
    prepare: (device) =>
      device.write('fake/fails', 'fleetsie_field@fleet.example.org: Permission denied (publickey).\n'),
    check: fails(/expired or was revoked/),
  },
  {
    title: 'does without a clock that is right, after a while',
    prepare: (device) => device.write('fake/clock', 'no\n'),
    check(ended, device) {
      succeeds()(ended, device)
      assert.match(ended.said, /the clock has not been set by the network/)
    },
  },
  {
    title: 'sets passwords, monitoring and what the fleet has besides, none of it in a log',
    environment: {
      USER_PWD: 'Us:er$(touch /tmp/run)`\'"%s\\',
      ROOT_PWD: 'rOOt secret',
      PSK: 'ab'.repeat(32),
      EXTRA: 'one,two$(touch /tmp/run),three',
    },
    prepare(device) {
      device.write('etc/zabbix/zabbix_agent2.conf', 'Server=x\nTLSPSKIdentity=old\n')
      device.disk('password.txt', 'first-secret\r\nsecond-secret\r\n')
    },
    check(ended, device) {
      succeeds()(ended, device)
      const shadow = device.read('etc/shadow')!
      for (const [user, password] of [
        ['fleetsie', 'Us:er$(touch /tmp/run)`\'"%s\\'],
        ['root', 'rOOt secret'],
      ] as const) {
        const hash = shadow.match(new RegExp(`^${user}:([^:]+):`, 'm'))![1]!
        const perl = 'exit(crypt($ARGV[0], $ARGV[1]) ne $ARGV[1])'
        assert.equal(spawnSync('perl', ['-e', perl, password, hash]).status, 0, `the password of ${user}`)
      }
      assert.equal(device.read('opt/fleetsie/fleet_extra'), 'one\ntwo$(touch /tmp/run)\nthree\n')
      assert.equal(device.owned('opt/fleetsie/fleet_extra'), '100640 0:1000')
      assert.equal(device.read('etc/zabbix/psk.txt'), `${'ab'.repeat(32)}\n`)
      assert.equal(device.read('etc/zabbix/zabbix_agent2.conf'), 'Server=x\nTLSPSKIdentity=field\n')
      assert.equal(device.read('tmp/run'), undefined)
      const told = ended.said + device.onDisk(log) + device.read('var/lib/fleetsie/status')
      assert.doesNotMatch(told, /secret|Us:er|abab|0001000100|PRIVATE/)
    },
  },
  {
    title: 'keeps the user that is there, and what is in its files',
    prepare(device) {
      device.write('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n')
      device.write('home/anna/.ssh/authorized_keys', 'ssh-ed25519 AAAAtheirs anna')
      device.write('home/anna/.ssh/config', 'Host other\n   User x\n')
    },
    check(ended, device) {
      assert.equal(ended.status, 0, ended.said)
      const keys = device.read('home/anna/.ssh/authorized_keys')!.split('\n')
      assert.deepEqual([keys[0], keys.length], ['ssh-ed25519 AAAAtheirs anna', 3])
      assert.match(
        device.read('home/anna/.ssh/config')!,
        /^Host other\n {3}User x\n# fleetsie: begin\nHost fleetsie\n/,
      )
      assert.equal(device.owned('home/anna/.ssh/config'), '100600 1000:1000')
    },
  },
  {
    title: 'makes a hyphen of an underscore in the name of the system',
    environment: { FLEET: 'north_field' },
    prepare: (device) =>
      device.disk('fleet.txt', `fleet.example.org\nnorth_field\nfleet.example.org ${device.keys.host}`),
    check(ended, device) {
      assert.equal(ended.status, 0, ended.said)
      assert.equal(device.read('etc/hostname'), 'north-field-1\n')
      assert.match(device.read(`${ssh}/config`)!, /User fleetsie_north_field/)
    },
  },
  {
    title: 'runs setup and then customize/setup, each in its folder',
    prepare(device) {
      device.disk('setup', '#!/bin/sh\r\necho "setup in $PWD as $(umask)" >>/tmp/ran\r\n')
      device.disk('customize/setup', '#!/bin/sh\necho "own in $PWD" >>/tmp/ran\n', 0o755)
    },
    check(ended, device) {
      succeeds()(ended, device)
      const top = '/fake/disks/fake-sda1/fleetsie'
      assert.equal(device.read('tmp/ran'), `setup in ${top} as 0022\nown in ${top}/customize\n`)
    },
  },
  {
    title: 'does not run customize/setup when setup fails, and asks the server nothing new afterwards',
    prepare(device) {
      device.disk('setup', 'exit 3\n')
      device.disk('customize/setup', 'touch /tmp/run\n')
    },
    async check(ended, device) {
      stopped(ended, device, /fleetsie\/setup has failed with status 3/)
      assert.equal(device.read('tmp/run'), undefined)
      device.disk('setup', ':\n')
      device.remove('fake/ssh-calls')
      device.reboot()
      const second = await device.run(['dash'])
      succeeds()(second, device)
      assert.equal(device.read('fake/ssh-calls')!.trim().split('\n').length, 1, 'only the check is asked')
      assert.notEqual(device.read('tmp/run'), undefined)
    },
  },
  {
    title: 'reads the files of an older disk',
    prepare(device) {
      for (const name of ['devices.txt', 'fleetsieauth'])
        device.remove(`fake/disks/fake-sda1/fleetsie/${name}`)
      device.disk('id_ed25519_provision_field', device.keys.auth.replaceAll('\n', '\r\n').trimEnd())
      const sql = `CREATE TABLE devices(id_in_fleet INTEGER UNIQUE PRIMARY KEY NOT NULL, otp VARCHAR NOT NULL);
        INSERT INTO devices VALUES (2, '${otpOf(2)}'), (3, '${otpOf(3)}');`
      device.disk('provisioning.sqlite', '')
      spawnSync('sqlite3', [join(device.root, 'fake/disks/fake-sda1/fleetsie/provisioning.sqlite'), sql])
      device.disk('custom/setup', 'echo custom >/tmp/ran\n')
      device.disk('custom/cleanup', 'echo cleanup >>/tmp/ran\n')
    },
    check(ended, device) {
      assert.equal(ended.status, 0, ended.said)
      assert.equal(device.read('etc/hostname'), 'field-2\n')
      const file = join(device.root, 'fake/disks/fake-sda1/fleetsie/provisioning.sqlite')
      assert.equal(
        spawnSync('sqlite3', [file, 'SELECT id_in_fleet FROM devices'], { encoding: 'utf8' }).stdout,
        '3\n',
      )
      assert.equal(device.read('tmp/ran'), 'custom\ncleanup\n')
    },
  },
  {
    title: 'leaves a device that belongs to a fleet where it is',
    prepare: (device) => device.write('var/lib/fleetsie/claimed', 'field-9\n'),
    check(ended, device) {
      assert.equal(ended.status, 0, ended.said)
      assert.match(ended.said, /is field-9 already/)
      assert.equal(device.read('fake/ssh-calls'), undefined)
    },
  },
  {
    title: 'goes on when the disk can no longer be written',
    prepare(device) {
      for (const name of ['claimed.txt', log]) device.disk(`${name}/in-the-way`, '')
    },
    check(ended, device) {
      assert.equal(ended.status, 0, ended.said)
      assert.match(ended.said, /the log on the disk cannot be written: full, or gone/)
      assert.match(ended.said, /the disk cannot be written; its next device asks/)
      assert.equal(device.read('etc/hostname'), 'field-1\n')
    },
  },
  {
    title: 'waits for the disk when it was pulled after the claim, and then goes on',
    prepare: (device) => device.write('fake/pull-at-hostname', ''),
    async check(ended, device) {
      stopped(ended, device, /the disk is gone; put it in again/)
      device.remove('fake/pull-at-hostname')
      spawnSync('mv', [join(device.root, 'fake/pulled'), join(device.root, 'fake/disks/fake-sda1/fleetsie')])
      device.reboot()
      succeeds()(await device.run(['dash']), device)
    },
  },
  ...(
    [
      ['without a server', '\r\nfield\r\n', /no line 1/],
      ['without a fleet', 'fleet.example.org\r\n', /no line 2/],
      ['without a host key', 'fleet.example.org\r\nfield', /no line 3/],
      [
        'whose server is an option',
        '-oProxyCommand=touch /tmp/run\nfield\nx\n',
        /line 1 of fleet.txt is no server/,
      ],
      ['whose server is a command', '$(touch /tmp/run)\nfield\nx\n', /line 1 of fleet.txt is no server/],
      ['whose port is none', 'fleet.example.org:65536\nfield\nx\n', /line 1 of fleet.txt is no server/],
      ['whose fleet has a path in it', 'fleet.example.org\n../../x\nx\n', /line 2 of fleet.txt is no fleet/],
      [
        'whose host key is none',
        'fleet.example.org\nfield\n`touch /tmp/run`\n',
        /line 3 of fleet.txt is no line/,
      ],
    ] as const
  ).map(
    ([what, text, why]): Case => ({
      title: `says what is wrong with a fleet.txt ${what}`,
      prepare: onDisk('fleet.txt', text),
      check(ended, device) {
        stopped(ended, device, why)
        assert.equal(device.read('tmp/run'), undefined)
      },
    }),
  ),
  {
    title: 'says so when line 3 of fleet.txt is the key of another server',
    prepare: (device) =>
      device.disk('fleet.txt', `fleet.example.org\nfield\nother.example.org ${device.keys.host}\n`),
    check: fails(/not the host key of fleet.example.org/),
  },
  {
    title: 'takes a port, capitals, blanks, a byte order mark and NULs in fleet.txt for what they are',
    prepare: (device) =>
      device.disk(
        'fleet.txt',
        `\ufeff Fleet.Example.org:2222 \r\n\0field\t\r\n[fleet.example.org]:2222 ${device.keys.host}\r\n`,
      ),
    check(ended, device) {
      assert.equal(ended.status, 0, ended.said)
      assert.match(device.read('fake/ssh-calls')!, /-p 2222 -l fleetsie_field fleet\.example\.org$/m)
      assert.match(device.read(`${ssh}/config`)!, /Hostname fleet\.example\.org\n {3}Port 2222\n/)
    },
  },
  {
    title: 'takes what Notepad calls Unicode',
    prepare: (device) =>
      device.disk(
        'fleet.txt',
        Buffer.from(
          `\ufefffleet.example.org\r\nfield\r\nfleet.example.org ${device.keys.host}\r\n`,
          'utf16le',
        ),
      ),
    check: succeeds(),
  },
  {
    title: 'takes a list of devices with everything wrong in it for what is right in it',
    prepare: (device) =>
      device.disk(
        'devices.txt',
        `\ufeff9 short\r\n$(touch /tmp/run) ${otpOf(1)}\r\n3 ${otpOf(3)}\r\n\0\r\n2 ${otpOf(2)}`,
      ),
    check: succeeds(2),
  },
  {
    title: 'says so when there is no device on the disk',
    prepare: onDisk('devices.txt', ''),
    check: fails(/no unclaimed device left/),
  },
  {
    title: 'says so when there is no key on the disk',
    prepare: (device) => device.remove('fake/disks/fake-sda1/fleetsie/fleetsieauth'),
    check: fails(/no key to the server: fleetsieauth, or id_ed25519_provision_field/),
  },
  {
    title: 'says so when the key on the disk is none',
    prepare: onDisk('fleetsieauth', '-----BEGIN OPENSSH PRIVATE KEY-----\n\0\n'),
    check: fails(/fleetsieauth is no private key/),
  },
  ...(
    [
      ['a host name that is a path', 2, '../../etc/x', /no hostname/],
      ['a host name that is a command', 2, '$(touch /tmp/run)', /no hostname/],
      ['a user that is an option', 3, '-oProxyCommand=x', /no fleetuser/],
      ['a port that is none', 4, '99999', /no tunnel_port/],
      ['a port that is a path', 4, '../x', /no tunnel_port/],
      ['another key', 5, 'ssh-ed25519 AAAAanother', /for another key/],
      [
        'a login key with a command',
        7,
        'command="touch /tmp/run" ssh-ed25519 AAAAAAAAAAAAAAAAAAAAAAAAA x',
        /no device_public_key/,
      ],
      ['a PSK that is a command', 8, '`touch /tmp/run`', /no zabbix_psk/],
      ['a password with a control character', 0, 'x\x07y', /no user_pwd/],
    ] as const
  ).map(([what, line, value, why]): Case => {
    const lines = ['', '', 'field-1', 'fleetsie_field', '20001', 'ssh-ed25519 KEY', '', '', '', '']
    lines[line] = value
    return { title: `refuses an answer with ${what}`, ...replied(`Ok\n${lines.join('\n')}\n`, why) }
  }),
  {
    title: 'does not stop at an answer that is noise',
    prepare: (device) => device.write('fake/reply', Buffer.from('\0\xff\n'.repeat(50_000), 'latin1')),
    check: succeeds(),
  },
]

underEveryShell('a claim by fleetsie_provision', cases)
