/** usb: the provisioning disk of a fleet, kept up to date. */
import * as v from 'valibot'
import { input, stage } from '../lib/engine/stage.ts'

const name = (what: string) => v.pipe(v.string(), v.nonEmpty(), v.description(what))

export const usb = stage({
  name: 'usb',
  kind: 'deploy',
  module: import.meta.url,
  summary: 'Writes the provisioning disk of a fleet.',
  description: `From what \`usbBundle\` made to a disk, with what the fleet's server says: what the verb \`gen\` does without NUM
(docs/gen.md). No devices are allocated; the disk gets all that nobody has claimed. It is applied at each build, for the
disk and the server can change unseen, and writes only the files that differ.

Nobody is asked: the server's host key has to be known and an ssh key at hand that may log in as \`fleetsie\` there. The
key, the OTPs and the networks' passwords are on the disk alone: they are no options, for options are part of a key.`,
  example: "usb({ bundle: usbBundle({}), fleet: 'hull', host: 'fleet.example', disk: '/media/me/STICK' })",
  options: v.strictObject({
    bundle: v.pipe(input(), v.description('What `usbBundle` made.')),
    fleet: name('The name of the fleet.'),
    host: name('Its server: `HOST` or `HOST:PORT`.'),
    disk: name('A folder that begins with `/`, a partition without `/dev/`, or a file with a slash.'),
    days: v.pipe(
      v.optional(v.nullable(v.pipe(v.number(), v.minValue(1), v.maxValue(36_500))), 90),
      v.description('How long the disk can claim devices, from each build on; `null`: until it is revoked.'),
    ),
    unmount: v.pipe(v.optional(v.boolean(), false), v.description('Unmount the partition first.')),
    yesReally: v.pipe(
      v.optional(v.boolean(), false),
      v.description('Take a disk that is not removable as well.'),
    ),
  }),
  always: true,
  pool: 'net',

  async apply(context) {
    const { deployUsb } = await import('../lib/fleet/deploy-usb.ts')
    await deployUsb(context)
    return []
  },
})
