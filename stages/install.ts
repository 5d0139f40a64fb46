/** install: fleetsie_provision and its service for the operating system of an image. */
import * as v from 'valibot'
import { input, type Source, stage } from '../lib/engine/stage.ts'
import { osTypes, recipes } from '../lib/images/os/recipes.ts'
import {
  deviceFiles,
  partsFolder,
  program,
  unit,
  unitFile,
  unitFolder,
  wantsFolder,
} from '../lib/images/os/units.ts'

const listed = osTypes.map((os) => `'${os}'`).join(', ')

const options = v.strictObject({
  image: v.pipe(input(), v.description('The image: a result of `decompress`.')),
  os: v.pipe(
    v.optional(v.picklist(osTypes, `takes one of ${listed}`), osTypes[0]),
    v.description(`The OSTYPE, what the image holds: one of ${listed}.`),
  ),
  partition: v.pipe(
    v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1))),
    v.description('The number of the root partition. Default: the only one that holds that system.'),
  ),
})

export const install = stage({
  kind: 'build',
  name: 'install',
  module: import.meta.url,
  summary: 'Adds fleetsie_provision and its enabled service to an image.',
  description: `
Makes a layer set for the root partition: \`/usr/bin/${program}\` with its parts in \`/${partsFolder}\`,
\`/${unitFolder}/${unit}\` with a drop-in that says when this system is stable, the link in \`/${wantsFolder}\` that
enables it, and the links \`fleetsie\` and \`fleetsie.service\`. Once the system is stable, the service looks for a disk with
a top-level folder \`fleetsie\`, claims a place in the fleet that its \`fleet.txt\` names (docs/provisioning.md), runs its
\`setup\` from there as root, and disables itself when all has succeeded; else the next boot tries again.

The root partition is found by its \`/etc/os-release\` (Raspberry Pi OS by \`/etc/rpi-issue\` as well). An image that holds
another system than \`os\` says is refused.

${recipes.map((recipe) => `**${recipe.os}** is stable when: ${recipe.stable}`).join('\n\n')}

Limits: the root filesystem has to be ext2, ext3 or ext4, and systemd has to run there.
`,
  example: "install({ image, os: 'Raspberry Pi OS' })",
  options,
  async sources(_options, host) {
    return Promise.all(
      deviceFiles.map(async ({ from: name, mode }): Promise<Source> => {
        const from = unitFile(name)
        return { path: `units/${name}`, type: 'file', mode, sha256: await host.sha256(from), from }
      }),
    )
  },
  async run(context) {
    const { writeInstallLayer } = await import('../lib/images/os/install-layer.ts')
    await writeInstallLayer(context, context.options)
  },
})
