/** What a disk is as a thing that people hold: who made it, its number, and how it is attached. */
import { dirname, join } from 'node:path'
import type { CardHost } from '../devices/host.ts'
import { attribute, type BlockDevice } from '../devices/sysfs.ts'
import type { CardInfo } from '../devices/types.ts'

type Hardware = Pick<CardInfo, 'transport' | 'vendor' | 'model' | 'serial' | 'serialIsUnique' | 'removable'>

/** Looks at the disk that `device` is or is on. */
export async function hardwareOf(host: CardHost, { diskFolder }: BlockDevice): Promise<Hardware> {
  const device = join(diskFolder, 'device')
  const flag = (await attribute(diskFolder, 'removable')) === '1'
  const transport = transportOf(diskFolder)
  switch (transport) {
    case 'mmc':
      return mmc(device)
    case 'usb':
      return usb(host, device, diskFolder)
    case 'loop': {
      const file = await attribute(diskFolder, 'loop/backing_file')
      const model = file === undefined ? undefined : `loop device over ${file}`
      return { ...nobody, transport, model, removable: true }
    }
    default: {
      const vendor = await attribute(device, 'vendor')
      const serial =
        (await attribute(diskFolder, 'serial')) ??
        (await attribute(device, 'serial')) ??
        (await attribute(diskFolder, 'wwid')) ??
        (await attribute(device, 'wwid'))
      return {
        transport,
        // virtio shows the number of its vendor here, ATA the name of the translation.
        vendor: vendor?.startsWith('0x') || vendor === 'ATA' ? undefined : vendor,
        model: await attribute(device, 'model'),
        serial,
        serialIsUnique: serial !== undefined,
        removable: flag,
      }
    }
  }
}

const nobody = { vendor: undefined, model: undefined, serial: undefined, serialIsUnique: false }

/** From the place in the tree of devices: `/sys/devices/pci0000:00/…/usb1/1-2/…/block/sdc`. */
function transportOf(folder: string): string | undefined {
  const marks: [RegExp, string][] = [
    [/\/usb\d+\//, 'usb'],
    [/\/mmc_host\//, 'mmc'],
    [/\/nvme/, 'nvme'],
    [/\/ata\d+\//, 'ata'],
    [/\/virtio\d+\//, 'virtio'],
    [/\/virtual\/block\/loop/, 'loop'],
    [/\/virtual\//, 'virtual'],
    [/\/host\d+\//, 'scsi'],
  ]
  return marks.find(([mark]) => mark.test(folder))?.[1]
}

/** The CID is written into each card by its maker and read through any slot. eMMC is of type MMC and soldered. */
async function mmc(device: string): Promise<Hardware> {
  const maker = await attribute(device, 'manfid')
  const cid = await attribute(device, 'cid')
  return {
    transport: 'mmc',
    vendor: maker === undefined ? undefined : `manufacturer ${maker.replace(/^0x0+(?=.)/, '0x')}`,
    model: await attribute(device, 'name'),
    serial: cid,
    serialIsUnique: cid !== undefined,
    removable: (await attribute(device, 'type')) === 'SD',
  }
}

/** What a USB device says is about the reader: which card lies in it, it does not tell. */
async function usb(host: CardHost, device: string, diskFolder: string): Promise<Hardware> {
  let at = diskFolder
  while (at.startsWith(host.sys) && (await attribute(at, 'idVendor')) === undefined) at = dirname(at)
  return {
    transport: 'usb',
    vendor: (await attribute(device, 'vendor')) ?? (await attribute(at, 'manufacturer')),
    model: (await attribute(device, 'model')) ?? (await attribute(at, 'product')),
    serial: await attribute(at, 'serial'),
    serialIsUnique: false,
    removable: true,
  }
}
