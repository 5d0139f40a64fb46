/** A card in words: what it is, and what is on it now. */
import type { CardInfo } from '../../images/devices/types.ts'
import type { Filesystem } from '../../images/superblocks/filesystem.ts'
import { formatBytes } from '../format.ts'

/** `Generic STORAGE DEVICE, serial 000000001206, 29.7 GiB, usb` */
export function hardware({ vendor, model, serial, size, transport }: CardInfo): string {
  const name = [vendor, model].filter((word) => word !== undefined).join(' ')
  return [
    ...(name === '' ? [] : [oneLine(name)]),
    ...(serial === undefined ? [] : [`serial ${oneLine(serial)}`]),
    formatBytes(size),
    ...(transport === undefined || transport === 'virtual' ? [] : [transport]),
  ].join(', ')
}

/** `sdc1 vfat bootfs 512 MiB, sdc2 ext4 rootfs 29.2 GiB`; a filesystem without a table; or that nothing is known. */
export function contents({ partitions, content }: CardInfo): string {
  if (partitions.length > 0) {
    return partitions
      .map(
        ({ name, number, size, ...found }) =>
          `${name ?? `#${number}`} ${filesystem(found)}${formatBytes(size)}`,
      )
      .join(', ')
  }
  return content.filesystem === null ? 'nothing that is known' : filesystem(content).trimEnd()
}

function filesystem({ filesystem, label }: Filesystem): string {
  return `${filesystem === null ? '' : `${filesystem} `}${label === null ? '' : `${oneLine(label)} `}`
}

// What a card or its maker calls itself must not begin a line of ours.
function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ')
}
