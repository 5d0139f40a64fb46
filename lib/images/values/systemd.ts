/** Units of an image: whether they are there and enabled, and enabling them as `systemctl enable` does. */
import type { VolumeEdit } from './volume-edit.ts'

const folders = ['usr/lib/systemd/system', 'lib/systemd/system']
const own = 'etc/systemd/system'

/** The path of the first of `units` that the image has. */
export function findUnit(root: VolumeEdit, units: readonly string[]): string | undefined {
  for (const unit of units) {
    for (const folder of [own, ...folders]) if (root.has(`${folder}/${unit}`)) return `${folder}/${unit}`
  }
  return undefined
}

/** Whether a target wants it. */
export function isEnabled(root: VolumeEdit, unit: string): boolean {
  return root
    .list(own)
    .filter((name) => name.endsWith('.wants') || name.endsWith('.requires'))
    .some((name) => root.list(`${own}/${name}`).includes(unit))
}

/** `path` is a unit's, or a template's; `instance` is then `wpa_supplicant@wlan0.service`. */
export function enableUnit(root: VolumeEdit, path: string, wants: string, instance?: string): void {
  const name = instance ?? path.slice(path.lastIndexOf('/') + 1)
  root.folder(`${own}/${wants}`, { mode: 0o755 })
  root.link(`${own}/${wants}/${name}`, `/${path}`)
}
