/** Disks with a root filesystem that looks like a distribution's, made by real tools. */
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runner } from '../../lib/engine/process.ts'
import { readPartitionTable } from '../../lib/images/partitions.ts'
import type { CardVolume } from '../../lib/images/values/types.ts'
import { TestDisk, tool, toolEnvironment } from './disks.ts'

export const debianFiles: Record<string, string> = {
  'etc/os-release': 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\n',
  'etc/debian_version': '12.5\n',
  'etc/hostname': 'debian\n',
  'etc/hosts': '127.0.0.1\tlocalhost\n127.0.1.1\tdebian.example debian gateway\n::1\tlocalhost\n',
  'etc/machine-id': '',
  'etc/passwd': 'root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n',
  'etc/shadow': 'root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n',
  'etc/group': 'root:x:0:\ndaemon:x:1:\nsudo:x:27:\nnetdev:x:101:\n',
  'etc/gshadow': 'root:*::\ndaemon:*::\nsudo:*::\nnetdev:!::\n',
  'etc/subuid': '',
  'etc/subgid': '',
  'etc/skel/.profile': '# of the image\n',
  'etc/timezone': 'Etc/UTC\n',
  'usr/bin/bash': '',
  'usr/sbin/sshd': '',
  'usr/lib/systemd/system/ssh.service': '[Install]\nWantedBy=multi-user.target\n',
  'usr/share/zoneinfo/America/Halifax': 'TZif',
}

export const piFiles: Record<string, string> = {
  ...debianFiles,
  'etc/rpi-issue': 'Raspberry Pi reference\n',
  'etc/passwd': 'root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000:,,,:/home/pi:/bin/bash\n',
  'etc/shadow': 'root:*:19000:0:99999:7:::\npi:!:19000:0:99999:7:::\n',
  'etc/group': 'root:x:0:\nsudo:x:27:pi\npi:x:1000:\n',
  'etc/gshadow': 'root:*::\nsudo:*::pi\npi:!::\n',
  'home/pi/.profile': '# of pi\n',
  'usr/lib/userconf-pi/userconf': '#!/bin/sh\n',
  'usr/sbin/NetworkManager': '',
  'usr/sbin/wpa_supplicant': '',
  'etc/systemd/system/multi-user.target.wants/NetworkManager.service': '',
  'var/lib/NetworkManager/NetworkManager.state': '[main]\nWirelessEnabled=false\n',
  'var/lib/systemd/rfkill/platform-fe300000.mmcnr:wlan': '1\n',
}

const MiB = 1024 * 1024
const place = { boot: { offset: MiB, size: 8 * MiB }, root: { offset: 9 * MiB, size: 23 * MiB } }

/** part_1 FAT, part_2 ext4. */
export class RootDisk extends TestDisk {
  volumes: CardVolume[] = []

  static async make(root: Record<string, string>, boot: Record<string, string> = {}): Promise<RootDisk> {
    const disk = new RootDisk(32 * MiB, 'label: dos\nlabel-id: 0x1234abcd\n2048,16384,c\n18432,,83\n')
    const tree = join(disk.folder, 'tree')
    for (const [path, content] of Object.entries(root)) {
      const file = join(tree, path)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, content)
    }
    for (const [name, target] of [
      ['bin', 'usr/bin'],
      ['sbin', 'usr/sbin'],
      ['lib', 'usr/lib'],
    ] as const) {
      symlinkSync(target, join(tree, name))
    }
    mkdirSync(join(tree, 'root'), { mode: 0o700 })
    chmodSync(join(tree, 'etc/shadow'), 0o640)
    const size = `${place.root.size / 1024}k`
    const options = `offset=${place.root.offset},root_owner=0:0,hash_seed=6a9f5a1e-0000-4000-8000-000000000001`
    tool('mke2fs', ['-q', '-F', '-t', 'ext4', '-E', options, '-d', tree, disk.path, size])
    const sectors = `${place.boot.offset / 512}`
    tool('mkfs.fat', ['--offset', sectors, '-i', '12345678', disk.path, `${place.boot.size / 1024}`])
    for (const [name, content] of Object.entries(boot)) {
      tool('mcopy', ['-i', `${disk.path}@@${place.boot.offset}`, '-', `::${name}`], content)
    }
    rmSync(tree, { recursive: true })
    disk.volumes = (await readPartitionTable(disk.path)).partitions.map((partition) => ({
      path: disk.path,
      partition,
    }))
    return disk
  }

  readonly run = runner({ home: this.folder, env: { PATH: toolEnvironment.PATH } })

  get ext(): string {
    return `${this.path}?offset=${place.root.offset}`
  }

  /** By debugfs, not by our reader. */
  cat(path: string): string {
    return tool('debugfs', ['-R', `cat "/${path}"`, this.ext])
  }

  /** Type, mode, owner and the target of a link, as debugfs shows them. */
  stat(path: string): { type: string; mode: string; owner: string; target: string | undefined } {
    const text = tool('debugfs', ['-R', `stat "/${path}"`, this.ext])
    return {
      type: /Type: (\S+)/.exec(text)?.[1] ?? 'none',
      mode: /Mode: +(\d+)/.exec(text)?.[1] ?? '',
      owner: `${/User: +(\d+)/.exec(text)?.[1]}:${/Group: +(\d+)/.exec(text)?.[1]}`,
      target: /Fast link dest: "(.*)"/.exec(text)?.[1],
    }
  }

  /** Runs debugfs commands that change the filesystem, as a device would have. */
  change(commands: readonly string[]): void {
    const script = join(this.folder, 'commands')
    writeFileSync(script, `${commands.join('\n')}\n`)
    tool('debugfs', ['-w', '-f', script, this.ext])
  }

  /** Puts a file there, in the place of one that may be there. */
  put(path: string, content: string): void {
    const from = join(this.folder, 'put')
    writeFileSync(from, content)
    this.change([`rm "/${path}"`, `write ${from} "/${path}"`])
  }

  fat(name: string): string {
    return tool('mtype', ['-i', `${this.path}@@${place.boot.offset}`, `::${name}`])
  }

  /** All files of the root filesystem below `to`. */
  dump(to: string): void {
    mkdirSync(to)
    tool('debugfs', ['-R', `rdump / ${to}`, this.ext])
  }

  /** e2fsck and fsck.fat find nothing. */
  assertSound(): void {
    tool('e2fsck', ['-fn', this.ext])
    const fat = join(this.folder, 'fat.img')
    writeFileSync(fat, this.bytes().subarray(place.boot.offset, place.boot.offset + place.boot.size))
    tool('fsck.fat', ['-n', fat])
    rmSync(fat)
  }
}
