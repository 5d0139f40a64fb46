/** usb-bundle: the part of a provisioning disk that holds no secret. */
import * as v from 'valibot'
import { type Source, stage } from '../lib/engine/stage.ts'
import { diskUnits } from '../lib/fleet/disk/layout.ts'
import { customizeSources } from '../lib/images/customize/sources.ts'
import { unitFile } from '../lib/images/os/units.ts'

const options = v.strictObject({
  customize: v.pipe(
    v.optional(v.pipe(v.string(), v.nonEmpty('needs the name of a folder'))),
    v.description(
      'A folder of the project for `customize/` on the disk: `setup` in it is run last on each device. Default: it is empty.',
    ),
  ),
})

export const usbBundle = stage({
  kind: 'build',
  name: 'usb-bundle',
  module: import.meta.url,
  summary: 'Makes the part of a provisioning disk that holds no secret.',
  description: `
A folder with what goes into \`fleetsie\` on the disk, whatever the fleet: \`ssh-tunnel.service\` and \`ssh_tunnel.sh\`, a
\`wifi.txt\` to be filled in, and \`customize/\` with the files of a folder of yours. The stage \`usb\` adds the rest: the
fleet's names, the list of devices and the key.

Links, and names that FAT cannot hold, are refused, and so are private keys: whoever has the disk could read them, and
so could whoever has the store.
`,
  example: "usbBundle({ customize: 'customize' })",
  options,
  async sources({ customize }, host) {
    const units = diskUnits.map(async (name): Promise<Source> => {
      const from = unitFile(name)
      return { path: `units/${name}`, type: 'file', mode: 0o644, sha256: await host.sha256(from), from }
    })
    return [...(await Promise.all(units)), ...(await customizeSources({ files: customize }, host))]
  },
  async run(context) {
    const { makeBundle } = await import('../lib/fleet/disk/make-bundle.ts')
    await makeBundle(context, context.options.customize)
  },
})
