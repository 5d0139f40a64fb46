import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FileChange } from '../../../../lib/images/diff/compare.ts'
import { isProtected, isSwitchedOff } from '../../../../lib/images/files-update/keep.ts'

for (const [path, role, is] of [
  ['etc/machine-id', 'root', true],
  ['etc/ssh/ssh_host_rsa_key.pub', 'root', true],
  ['etc/ssh/sshd_config', 'root', false],
  ['etc/NetworkManager/system-connections/home.nmconnection', 'root', true],
  ['etc/NetworkManager/NetworkManager.conf', 'root', false],
  ['home/pi/.ssh/fleetsie', 'root', true],
  ['home/pi/app/main.py', 'root', false],
  ['opt/fleetsie/fleet_extra', 'root', true],
  ['var/logger', 'root', false],
  ['etc/hostname', 'data', false],
  ['cmdline.txt', 'boot', true],
  ['CMDLINE.TXT', 'boot', true],
  ['config.txt', 'boot', false],
  ['etc/hostname', 'boot', false],
] as const) {
  test(`/${path} of a ${role} partition is the ${is ? "device's" : "image's"}`, () => {
    assert.equal(isProtected(role, path), is)
  })
}

const wants = 'etc/systemd/system/multi-user.target.wants/a.service'
const none = (): boolean => false
for (const { title, path = wants, kind = 'added', stock = none, card = none, is } of [
  { title: 'a link whose unit is new comes', is: false },
  {
    title: 'a link that the stock had does not come back',
    stock: (path: string) => path === wants,
    is: true,
  },
  {
    title: 'nor one whose unit the card has',
    card: (path: string) => path === 'usr/lib/systemd/system/a.service',
    is: true,
  },
  {
    title: 'nor one of System V',
    path: 'etc/rc3.d/S01resize2fs_once',
    card: (path: string) => path === 'etc/init.d/resize2fs_once',
    is: true,
  },
  {
    title: 'a file that does not start anything comes',
    path: 'etc/a.service',
    stock: () => true,
    card: () => true,
    is: false,
  },
  {
    title: 'a link that the card has is compared as any other',
    kind: 'changed' as const,
    stock: () => true,
    is: false,
  },
]) {
  test(title, () => {
    const change: FileChange = { path, kind, differs: [] }
    assert.equal(isSwitchedOff(change, 'root', { stock, card }), is)
  })
}
