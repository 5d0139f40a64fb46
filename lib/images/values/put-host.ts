/** The host name and the time zone. */
import { FleetsieError } from '../../errors.ts'
import type { VolumeEdit } from './volume-edit.ts'

/** hostname(5), and the line 127.0.1.1 of hosts(5) that Debian keeps for it. */
export function putHostname(root: VolumeEdit, hostname: string): void {
  const old = root.read('etc/hostname')?.trim() ?? ''
  root.rewrite('etc/hostname', `${hostname}\n`, { mode: 0o644 })
  root.rewrite('etc/hosts', hosts(root.read('etc/hosts') ?? '127.0.0.1\tlocalhost\n', old, hostname), {
    mode: 0o644,
  })
  if (root.has('etc/cloud/cloud.cfg')) {
    root.folder('etc/cloud/cloud.cfg.d', { mode: 0o755 })
    // Else cloud-init puts the name of its own configuration there at the first boot.
    const text = 'preserve_hostname: true\nmanage_etc_hosts: false\n'
    root.write('etc/cloud/cloud.cfg.d/99-fleetsie-hostname.cfg', Buffer.from(text), { mode: 0o644 })
  }
}

function hosts(text: string, old: string, hostname: string): string {
  const lines = text.replace(/\n$/, '').split('\n')
  const short = hostname.split('.')[0]!
  const names = short === hostname ? [hostname] : [hostname, short]
  const isOwn = (line: string): boolean => /^\s*127\.0\.1\.1\s/.test(line)
  // Other names of that line are the image's and stay.
  const aliases = lines
    .filter(isOwn)
    .flatMap((line) => line.replace(/#.*/, '').trim().split(/\s+/).slice(1))
    .filter(
      (name) =>
        name !== old && !name.startsWith(`${old}.`) && name !== old.split('.')[0] && !names.includes(name),
    )
  const ours = `127.0.1.1\t${[...names, ...aliases].join(' ')}`
  const at = lines.findIndex(isOwn)
  const kept = lines.filter((line) => !isOwn(line))
  const after = kept.findIndex((line) => /^\s*127\.0\.0\.1\s/.test(line)) + 1
  kept.splice(at < 0 ? after : Math.min(at, kept.length), 0, ours)
  return `${kept.join('\n')}\n`
}

/** localtime(5); Debian's /etc/timezone says the same as text. */
export function putTimezone(root: VolumeEdit, timezone: string): void {
  const path = `usr/share/zoneinfo/${timezone}`
  if (!root.has(path) || root.isFolder(path)) {
    const why = root.has('usr/share/zoneinfo') ? `no time zone ${timezone}` : 'no time zones (package tzdata)'
    throw new FleetsieError('E_INPUT', `the image has ${why}`)
  }
  root.link('etc/localtime', `/${path}`)
  if (root.has('etc/timezone') || root.has('etc/debian_version')) {
    root.rewrite('etc/timezone', `${timezone}\n`, { mode: 0o644 })
  }
}
