/** updatesd: writes what `save` made to a card that is always in the same reader. */
import * as v from 'valibot'
import { input, stage } from '../lib/engine/stage.ts'

const device = v.pipe(v.string(), v.nonEmpty())

const options = v.pipe(
  v.strictObject({
    artifacts: v.pipe(input(), v.description('What `save` made.')),
    whole: v.pipe(
      v.optional(v.union([device, v.pipe(v.array(device), v.nonEmpty())])),
      v.description(
        'The device, or several, that the whole image goes to: `/dev/disk/by-id/…`, or a file with a slash.',
      ),
    ),
    partitions: v.pipe(
      v.optional(v.pipe(v.array(device), v.nonEmpty())),
      v.description('In place of `whole`: a device for each partition of the image, in its order.'),
    ),
    unmount: v.pipe(v.optional(v.boolean(), false), v.description('Unmount what is mounted of them.')),
    yesReally: v.pipe(v.optional(v.boolean(), false), v.description('Take what is not removable as well.')),
    full: v.pipe(v.optional(v.boolean(), false), v.description('Write all, whatever they hold.')),
  }),
  v.check(
    ({ whole, partitions }) => (whole === undefined) !== (partitions === undefined),
    'takes either `whole` or `partitions`',
  ),
)

export const updatesd = stage({
  name: 'updatesd',
  kind: 'deploy',
  module: import.meta.url,
  summary: 'Writes the image to a card, or to its partitions.',
  description: `From what \`save\` made to a device or a plain file: what the verb \`updatesd\` does, under the same rules as with
\`-y\` (docs/updatesd.md). It is applied at each build, for a card can change unseen, and writes only what differs; with
nothing to write it reads a receipt's sample.

Refused are the disk that this system runs from, what is mounted or otherwise in use, what is too small, and what is not
removable, unless the options allow it. Give a name below \`/dev/disk/by-id\` or \`by-path\`: \`sdc\` may be another disk
tomorrow.

Values of a device (\`--set\`, \`--csv\`) are the verb's: options are part of a key, and secrets must not be.`,
  example:
    "updatesd({ artifacts: save({ image, table, layers, name: 'sample' }), whole: '/dev/disk/by-id/usb-reader' })",
  options,
  always: true,
  pool: 'io',

  async apply(context) {
    const { deployCards } = await import('../lib/images/cards/deploy.ts')
    await deployCards(context)
    return []
  },
})
