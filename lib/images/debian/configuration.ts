/** What the image holds beyond its packages: small files that make it boot, reach the network and be upgraded. */
import type { DebianLock } from './lock.ts'

export interface ImageIdentity {
  hostname: string
  /** The disk signature, eight hex digits: PARTUUIDs are made of it. */
  diskId: string
}

/** Path to content; a mode where it is not 0644. */
export type TextFiles = Map<string, { content: string; mode?: number }>

/** Drivers for what a root filesystem may be on. With all of Debian's the initramfs would be ten times as large. */
const storage = [
  ...[
    'ahci',
    'ata_generic',
    'ata_piix',
    'hv_storvsc',
    'megaraid_sas',
    'mmc_block',
    'mpt3sas',
    'mptspi',
    'nvme',
  ],
  ...[
    'sd_mod',
    'sdhci_acpi',
    'sdhci_pci',
    'usb_storage',
    'uas',
    'ehci_pci',
    'uhci_hcd',
    'xhci_pci',
    'usbhid',
  ],
  ...[
    'hid_generic',
    'virtio_blk',
    'virtio_mmio',
    'virtio_pci',
    'virtio_scsi',
    'vmw_pvscsi',
    'xen_blkfront',
    'ext4',
  ],
]

/** A hook and not a list: what is listed is loaded everywhere, what a hook adds is loaded where udev finds its device. */
const driversHook = `#!/bin/sh
[ "$1" = prereqs ] && exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules ${storage.join(' ')}
`

/** What has to be there before the first package is configured. */
export const seedFiles: TextFiles = new Map([
  ['etc/initramfs-tools/conf.d/fleetsie.conf', { content: 'MODULES=list\nCOMPRESS=zstd\nRESUME=none\n' }],
  ['etc/initramfs-tools/hooks/fleetsie', { content: driversHook, mode: 0o755 }],
  [
    'etc/dpkg/dpkg.cfg.d/fleetsie',
    {
      content:
        '# A device has no readers of documentation; licences stay.\n' +
        'path-exclude=/usr/share/man/*\npath-exclude=/usr/share/info/*\npath-exclude=/usr/share/locale/*\n' +
        'path-include=/usr/share/locale/locale.alias\n' +
        'path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n',
    },
  ],
])

/** Copies what a new kernel or initramfs brought to where the boot loader reads it. */
const kernelHook = `#!/bin/sh
# The boot loader reads the kernel from the FAT partition; packages can only put it into /boot.
set -e
mountpoint -q /boot/firmware || exit 0
cp "$(readlink -f /vmlinuz)" /boot/firmware/vmlinuz.new
cp "$(readlink -f /initrd.img)" /boot/firmware/initrd.new
sync
mv /boot/firmware/vmlinuz.new /boot/firmware/vmlinuz
mv /boot/firmware/initrd.new /boot/firmware/initrd.img
sync
`

const security = (lock: DebianLock): string[] =>
  lock.suites.flatMap((suite) =>
    suite.includes('-') ? [] : [`deb http://deb.debian.org/debian-security ${suite}-security main`],
  )

/** The files that are written over what the packages left. */
export function imageFiles(lock: DebianLock, identity: ImageIdentity): TextFiles {
  const { hostname, diskId } = identity
  const sources = [...lock.suites.map((suite) => `deb ${lock.mirror} ${suite} main`), ...security(lock)]
  return new Map<string, { content: string; mode?: number }>([
    [
      'etc/fstab',
      {
        content:
          `PARTUUID=${diskId}-02  /               ext4  errors=remount-ro  0  1\n` +
          `PARTUUID=${diskId}-01  /boot/firmware  vfat  umask=0077         0  2\n`,
      },
    ],
    ['etc/hostname', { content: `${hostname}\n` }],
    [
      'etc/hosts',
      {
        content: `127.0.0.1\tlocalhost\n127.0.1.1\t${hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n`,
      },
    ],
    ['etc/default/locale', { content: 'LANG=C.UTF-8\n' }],
    // Empty: the first boot makes one. Absent would be a first boot in systemd's sense, which resets what is enabled.
    ['etc/machine-id', { content: '', mode: 0o444 }],
    ['etc/apt/sources.list', { content: `${sources.join('\n')}\n` }],
    ['etc/systemd/network/80-dhcp.network', { content: '[Match]\nType=ether\n\n[Network]\nDHCP=yes\n' }],
    [
      'etc/systemd/system/ssh.service.d/host-keys.conf',
      {
        content:
          '# Each device makes host keys of its own.\n[Service]\nExecStartPre=\n' +
          'ExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n',
      },
    ],
    ['etc/kernel/postinst.d/zz-fleetsie', { content: kernelHook, mode: 0o755 }],
    ['etc/initramfs/post-update.d/zz-fleetsie', { content: kernelHook, mode: 0o755 }],
  ])
}

/** Path to target: what `systemctl enable` would make, and where name resolution is. */
export const imageLinks: ReadonlyMap<string, string> = new Map([
  ['etc/resolv.conf', '../run/systemd/resolve/stub-resolv.conf'],
  [
    'etc/systemd/system/multi-user.target.wants/systemd-networkd.service',
    '/lib/systemd/system/systemd-networkd.service',
  ],
  [
    'etc/systemd/system/dbus-org.freedesktop.network1.service',
    '/lib/systemd/system/systemd-networkd.service',
  ],
  [
    'etc/systemd/system/sockets.target.wants/systemd-networkd.socket',
    '/lib/systemd/system/systemd-networkd.socket',
  ],
  [
    'etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service',
    '/lib/systemd/system/systemd-networkd-wait-online.service',
  ],
])

/** What the packages' scripts leave behind that belongs to one machine or one moment. */
export function isLeftover(path: string): boolean {
  return leftovers.some((pattern) => pattern.test(path))
}

const leftovers = [
  /^etc\/ssh\/ssh_host_.*_key(\.pub)?$/,
  /^etc\/(passwd|group|shadow|gshadow|subuid|subgid)-$/,
  /^etc\/\.pwd\.lock$/,
  /^etc\/(apt\/apt\.conf\.d|dpkg\/dpkg\.cfg\.d)\/99mmdebstrap$/,
  /^(dev|proc|sys|run|tmp|var\/tmp)\/./,
  /^var\/log\/.*\.log$/,
  /^var\/log\/apt\/./,
  /^var\/cache\/(apt|debconf|ldconfig|man)\/.*\.(bin|deb)$|^var\/cache\/debconf\/.*-old$|^var\/cache\/ldconfig\/aux-cache$/,
  /^var\/lib\/apt\/lists\/./,
  /^var\/lib\/(dpkg|apt)\/.*-old$/,
  /^var\/lib\/dbus\/machine-id$/,
  /^var\/lib\/systemd\/(random-seed|timesync\/clock)$/,
  /^root\/\.(bash_history|wget-hsts)$/,
  /(^|\/)__pycache__(\/|$)/,
]
