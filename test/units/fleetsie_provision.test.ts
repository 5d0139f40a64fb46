import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'

const script = join(import.meta.dirname, '../../units/fleetsie_provision')
const parts = join(import.meta.dirname, '../../units/provision')
const fakes = join(import.meta.dirname, 'fake-system.sh')

interface Disk {
  /** What blkid finds; nothing for a partitioned disk. */
  holds?: string
  type?: string
  parent?: string
  mounted?: boolean
  /** Path to content; `setup` is executable unless `plain`. */
  files?: Record<string, string>
  plain?: boolean
}

interface Case {
  title: string
  disks: Record<string, Disk>
  /** More files of the fake system. */
  fake?: Record<string, string>
  environment?: Record<string, string>
  status: number
  said: RegExp
  /** What `setup` wrote to $RESULT. */
  result?: RegExp | undefined
  calls?: (calls: string[]) => void
}

const good = '#!/bin/sh\necho "$0 in $(basename "$PWD")" >"$RESULT"\n'
const root: Record<string, Disk> = {
  'fake-root': {},
  'fake-root2': { type: 'part', parent: 'fake-root', holds: 'ext4', files: { 'fleetsie/setup': good } },
}
const stick = (files: Record<string, string>, more: Disk = {}): Disk => ({
  type: 'part',
  parent: 'fake-sda',
  holds: 'vfat',
  files,
  ...more,
})
const withStick = (files: Record<string, string>, more: Disk = {}): Record<string, Disk> => ({
  ...root,
  'fake-sda': {},
  'fake-sda1': stick(files, more),
})
const none = (calls: string[], what: string): void =>
  assert.deepEqual(
    calls.filter((call) => call.startsWith(what)),
    [],
  )

const cases: Case[] = [
  {
    title: 'runs setup from its folder, disables the unit and unmounts',
    disks: withStick({ 'fleetsie/setup': good }),
    status: 0,
    said: /runs fleetsie\/setup of \/dev\/fake-sda1\n.*everything has succeeded/s,
    result: /^\.\/setup in fleetsie\n$/,
    calls: (calls) =>
      assert.deepEqual(
        calls.map((call) => call.replace(/\/\S*\/run\/disk\.\w+/, 'TOP')),
        [
          'mount -o ro,nosuid,nodev /dev/fake-sda1 TOP',
          'mount -o remount,rw,nosuid,nodev TOP',
          'systemctl disable fleetsie-provision.service',
          'umount TOP',
        ],
      ),
  },
  {
    title: 'a failing setup leaves the unit enabled',
    disks: withStick({ 'fleetsie/setup': '#!/bin/sh\nexit 75\n' }),
    status: 1,
    said: /failed with status 75.*tries again at the next boot/,
    calls: (calls) => none(calls, 'systemctl'),
  },
  {
    title: 'without a disk it gives up after a minute with 75 and leaves the unit enabled',
    disks: root,
    status: 75,
    said: /no disk with fleetsie\/setup or fleetsie\/fleet.txt within 60 seconds.*stays enabled/,
    calls: (calls) => assert.deepEqual([...new Set(calls), calls.length], ['sleep', 60]),
  },
  {
    title: 'waits for a disk that comes late',
    disks: root,
    fake: {
      'after-3': 'echo "/dev/fake-sdb disk" >>"$FAKE/lsblk"\necho ext4 >"$FAKE/types/fake-sdb"\n',
      'disks/fake-sdb/fleetsie/setup': '#!/bin/sh\n: >"$RESULT"\n',
    },
    status: 0,
    said: /setup of \/dev\/fake-sdb/,
    result: /^$/,
  },
  {
    title: 'a stick that is changed for another of the same name is looked at again',
    disks: withStick({ 'holiday.jpg': '' }),
    fake: {
      'after-1': 'cp "$FAKE/lsblk" "$FAKE/saved"\ngrep -v sda1 "$FAKE/saved" >"$FAKE/lsblk"\n',
      'after-2': 'cp "$FAKE/saved" "$FAKE/lsblk"\nmv "$FAKE/disks/next" "$FAKE/disks/fake-sda1/fleetsie"\n',
      'disks/next/setup': good,
    },
    status: 0,
    said: /everything has succeeded/,
    result: /in fleetsie/,
  },
  {
    title: 'mounts a disk that is none of ours only once',
    disks: withStick({ 'holiday.jpg': '' }),
    status: 75,
    said: /no disk/,
    calls: (calls) => assert.equal(calls.filter((call) => call.startsWith('mount')).length, 1),
  },
  {
    title: 'uses a disk where it is already mounted and leaves it so',
    disks: withStick({ 'fleetsie/setup': good }, { mounted: true }),
    status: 0,
    said: /everything has succeeded/,
    result: /in fleetsie/,
    calls: (calls) => assert.deepEqual(calls, ['systemctl disable fleetsie-provision.service']),
  },
  {
    title: 'takes the first by name that has a setup, whatever kind of disk it is',
    disks: {
      ...root,
      'fake-vdb': { holds: 'ext4', files: { 'fleetsie/setup': good } },
      'fake-nvme0n1': {},
      'fake-nvme0n1p1': stick({ 'fleetsie/notes': '' }, { parent: 'fake-nvme0n1', holds: 'ext4' }),
      'fake-mmcblk1p1': stick({ 'fleetsie/setup': good.replace('$0', 'mmc') }, { parent: 'fake-mmcblk1' }),
    },
    status: 0,
    said: /setup of \/dev\/fake-mmcblk1p1/,
    result: /^mmc in/,
  },
  {
    title: 'says so of a folder without setup and goes on to the next disk',
    disks: {
      ...root,
      'fake-sda1': stick({ 'fleetsie/wifi.txt': '' }),
      'fake-sdb1': stick({ 'fleetsie/setup': good }),
    },
    status: 0,
    said: /fake-sda1 has a folder fleetsie, but neither setup nor fleet.txt in it\n.*setup of \/dev\/fake-sdb1/s,
    result: /in fleetsie/,
  },
  {
    title: 'leaves swap, encrypted and RAID members, loops and optical disks alone',
    disks: {
      ...root,
      'fake-sda1': stick({ 'fleetsie/setup': good }, { holds: 'swap' }),
      'fake-sdb1': stick({ 'fleetsie/setup': good }, { holds: 'crypto_LUKS' }),
      'fake-sdc1': stick({ 'fleetsie/setup': good }, { holds: 'linux_raid_member' }),
      'fake-loop0': { type: 'loop', holds: 'ext4', files: { 'fleetsie/setup': good } },
      'fake-sr0': { type: 'rom', holds: 'iso9660', files: { 'fleetsie/setup': good } },
    },
    status: 75,
    said: /no disk/,
    calls: (calls) => none(calls, 'mount'),
  },
  {
    title: 'says once that a disk cannot be mounted, and tries again',
    disks: withStick({ 'fleetsie/setup': good }),
    fake: { 'unmountable-fake-sda1': '', 'after-2': 'rm "$FAKE/unmountable-fake-sda1"\n' },
    status: 0,
    said: /^fleetsie_provision: \/dev\/fake-sda1 cannot be mounted: wrong fs type\nfleetsie_provision: runs/,
    result: /in fleetsie/,
  },
  {
    title: 'runs from a write-protected disk',
    disks: withStick({ 'fleetsie/setup': good }),
    fake: { 'write-protected': '' },
    status: 0,
    said: /fake-sda1 can only be read/,
    result: /in fleetsie/,
  },
  {
    title: 'lets go of a disk that setup left in use',
    disks: withStick({ 'fleetsie/setup': good }),
    fake: { busy: '' },
    status: 0,
    said: /still in use/,
    result: /in fleetsie/,
    calls: (calls) => assert.match(calls.at(-1) ?? '', /^umount -l /),
  },
  {
    title: 'a setup without exec bits is run by the interpreter of its first line',
    disks: withStick({ 'fleetsie/setup': '#!/usr/bin/env -S sed -n 1p\n' }, { plain: true }),
    status: 0,
    said: /#!\/usr\/bin\/env -S sed/,
  },
  {
    title: 'a setup without exec bits and without an interpreter is run by sh',
    disks: withStick({ 'fleetsie/setup': good.replace('#!/bin/sh\n', '') }, { plain: true }),
    status: 0,
    said: /succeeded/,
    result: /^\.\/setup in fleetsie\n$/,
  },
  ...['#!/bin/sh', '#! /bin/sh -e', '#!/usr/bin/env bash', '# no interpreter'].map(
    (first): Case => ({
      title: `a setup with CR LF that begins with ${first} runs as if it had none`,
      disks: withStick({ 'fleetsie/setup': good.replace('#!/bin/sh', first).replaceAll('\n', '\r\n') }),
      status: 0,
      said: /succeeded/,
      result: /^\.\/setup in fleetsie\n$/,
    }),
  ),
  {
    title: 'a program that is not executable is refused with the reason',
    disks: withStick({ 'fleetsie/setup': '\x7fELF\x02\x01\x01\0\0' }, { plain: true }),
    status: 1,
    said: /not executable here.*\n.*status 126/,
  },
  {
    title: 'a unit that cannot be disabled is a failure',
    disks: withStick({ 'fleetsie/setup': good }),
    fake: { 'read-only-etc': '' },
    status: 1,
    said: /could not be disabled: the next boot runs setup again/,
    result: /in fleetsie/,
  },
  {
    title: 'refuses to run as somebody else than root',
    disks: root,
    environment: { FAKE_UID: '1000' },
    status: 2,
    said: /must be run as root/,
  },
]

function prepare(fake: string, test: Case): void {
  const write = (path: string, content: string, mode = 0o644): void => {
    const file = join(fake, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
    chmodSync(file, mode)
  }
  const lines = Object.entries(test.disks).map(
    ([name, disk]) =>
      `/dev/${name} ${disk.type ?? 'disk'}${disk.parent === undefined ? '' : ` /dev/${disk.parent}`}\n`,
  )
  write('lsblk', lines.reverse().join(''))
  const mounted = Object.entries(test.disks).filter(([, disk]) => disk.mounted)
  write('mounts', mounted.map(([name]) => `/dev/${name} ${fake}/disks/${name}\n`).join(''))
  mkdirSync(join(fake, 'types'))
  for (const [name, disk] of Object.entries(test.disks)) {
    if (disk.holds !== undefined) write(`types/${name}`, `${disk.holds}\n`)
    for (const [path, content] of Object.entries(disk.files ?? {})) {
      write(`disks/${name}/${path}`, content, path.endsWith('/setup') && !disk.plain ? 0o755 : 0o644)
    }
  }
  for (const [path, content] of Object.entries(test.fake ?? {})) {
    write(path, content, path.endsWith('/setup') ? 0o755 : 0o644)
  }
}

for (const shell of [['dash'], ['busybox', 'sh']]) {
  const absent = spawnSync(shell[0] ?? '', [...shell.slice(1), '-c', ':']).error !== undefined
  const skip = absent ? `${shell[0]} is not installed` : false
  describe(`fleetsie_provision under ${shell.join(' ')}`, { skip }, () => {
    for (const test of cases) {
      it(test.title, () => {
        const fake = mkdtempSync(join(tmpdir(), 'fleetsie-test-provision-'))
        try {
          prepare(fake, test)
          const run = join(fake, 'run')
          const result = join(fake, 'result')
          // The parts are where they are in the checkout.
          const text = readFileSync(script, 'utf8').replace(/^parts=.*$/m, `parts='${parts}'`)
          writeFileSync(join(fake, 'program'), text)
          const args = [...shell.slice(1), '-c', '. "$1"\n. "$2"', 'sh', fakes, join(fake, 'program')]
          const ended = spawnSync(shell[0] ?? '', args, {
            encoding: 'utf8',
            timeout: 120_000,
            env: {
              ...{ PATH: process.env['PATH'], FAKE: fake, RESULT: result },
              ...{ RUNTIME_DIRECTORY: run, STATE_DIRECTORY: join(fake, 'state') },
              ...test.environment,
            },
          })
          assert.match(ended.stdout, test.said, ended.stderr)
          assert.equal(ended.status, test.status, ended.stderr)
          if (test.result) assert.match(readFileSync(result, 'utf8'), test.result)
          const calls = readdirSync(fake).includes('calls') ? readFileSync(join(fake, 'calls'), 'utf8') : ''
          test.calls?.(calls.split('\n').filter((line) => line !== ''))
          if (test.status !== 2) {
            const left = readdirSync(run).filter((name) => name.startsWith('disk.'))
            assert.deepEqual(left, [], 'a mount point was left behind')
          }
        } finally {
          rmSync(fake, { recursive: true, force: true })
        }
      })
    }
  })
}

describe('what devices run', () => {
  it('fleetsie_provision and its parts have no findings of shellcheck', {
    skip: missing('shellcheck'),
  }, () => {
    const files = [
      script,
      ...readdirSync(parts).flatMap((name) => (name.endsWith('.sh') ? join(parts, name) : [])),
    ]
    const { stdout, status } = spawnSync('shellcheck', ['--shell=sh', ...files], {
      cwd: join(import.meta.dirname, '../..'),
      encoding: 'utf8',
    })
    assert.equal(status, 0, stdout)
  })

  it('systemd takes the unit without a word', { skip: missing('systemd-analyze') }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'fleetsie-test-unit-'))
    try {
      // The program is not installed here; its absence is all that systemd may find.
      const unit = readFileSync(join(script, '../fleetsie-provision.service'), 'utf8')
      writeFileSync(
        join(folder, 'fleetsie-provision.service'),
        unit.replace('/usr/bin/fleetsie_provision', script),
      )
      const args = ['verify', '--man=no', join(folder, 'fleetsie-provision.service')]
      const { stdout, stderr, status } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
      assert.deepEqual([status, stdout + stderr], [0, ''])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

function missing(command: string): string | false {
  return spawnSync(command, ['--version']).error === undefined ? false : `${command} is not installed`
}
