/** install: fleetsie_provision and its service for the operating system of an image. */
import { createReadStream, createWriteStream, statSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as v from 'valibot'
import { input, type Source, stage } from '../lib/engine/stage.ts'
import { FleetsieError } from '../lib/errors.ts'
import { compareEntries, type LayerEntry, type LayerInput, writeLayer } from '../lib/formats/layer.ts'
import { ExtReader } from '../lib/images/ext/reader.ts'
import { diskName } from '../lib/images/image.ts'
import { findRoot } from '../lib/images/os/find-root.ts'
import { hasSystemd } from '../lib/images/os/identity.ts'
import { osTypes, recipes } from '../lib/images/os/recipes.ts'
import { unitFile } from '../lib/images/os/units.ts'
import { isFolder } from '../lib/images/os/volume-file.ts'
import { readPartitionTable } from '../lib/images/partitions.ts'
import { withWindow } from '../lib/images/window.ts'

const listed = osTypes.map((os) => `'${os}'`).join(', ')

const options = v.strictObject({
  image: v.pipe(input(), v.description('The image: a result of `decompress`.')),
  os: v.pipe(
    v.optional(v.picklist(osTypes, `takes one of ${listed}`), osTypes[0] ?? ''),
    v.description(`The OSTYPE, what the image holds: one of ${listed}.`),
  ),
  partition: v.pipe(
    v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1))),
    v.description('The number of the root partition. Default: the only one that holds that system.'),
  ),
})

const program = 'fleetsie_provision'
const unit = 'fleetsie-provision.service'
const modes = new Map([
  [program, 0o755],
  [unit, 0o644],
])
const unitFolder = 'usr/lib/systemd/system'
const wantsFolder = 'etc/systemd/system/multi-user.target.wants'

export const install = stage({
  kind: 'build',
  name: 'install',
  module: import.meta.url,
  summary: 'Adds fleetsie_provision and its enabled service to an image.',
  description: `
Makes a layer set for the root partition: \`/usr/bin/${program}\`, \`/${unitFolder}/${unit}\` with a drop-in that says
when this system is stable, and the link in \`/${wantsFolder}\` that enables it. Once the system is stable, the service
looks for a disk with a top-level folder \`fleetsie\`, runs its \`setup\` from there as root, and disables itself when that
has succeeded; else the next boot tries again.

The root partition is found by its \`/etc/os-release\` (Raspberry Pi OS by \`/etc/rpi-issue\` as well). An image that holds
another system than \`os\` says is refused.

${recipes.map((recipe) => `**${recipe.os}** is stable when: ${recipe.stable}`).join('\n\n')}

Limits: the root filesystem has to be ext2, ext3 or ext4, and systemd has to run there.
`,
  example: "install({ image, os: 'Raspberry Pi OS' })",
  options,
  async sources(_options, host) {
    return Promise.all(
      [...modes].map(async ([name, mode]): Promise<Source> => {
        const from = unitFile(name)
        return { path: `units/${name}`, type: 'file', mode, sha256: await host.sha256(from), from }
      }),
    )
  },
  async run(context) {
    const { image, os, partition } = context.options
    const recipe = recipes.find((candidate) => candidate.os === os)
    if (!recipe) throw new FleetsieError('E_BUG', `no recipe for ${os}`)
    const disk = join(image.path, diskName)
    const table = await readPartitionTable(disk, context.warn)
    const root = await findRoot(disk, table, recipe, partition)
    const missing = await withWindow(disk, root, 'r', (window) => {
      const volume = new ExtReader(window)
      if (!hasSystemd(volume)) {
        throw new FleetsieError('E_INPUT', `partition ${root.number} holds ${os}, but no systemd`, {
          hint: 'fleetsie_provision is started by systemd; an image with it is needed',
        })
      }
      return [...parents(unitFolder), ...parents(wantsFolder)].filter((folder) => !isFolder(volume, folder))
    })
    const files = new Map(
      context.sources.flatMap((source) => (source.type === 'file' ? [[source.path, source.from]] : [])),
    )
    const entries = layerOf(missing, recipe.dropIn, (name) => files.get(`units/${name}`) ?? unitFile(name))
    await pipeline(
      Readable.from(writeLayer(entries.sort((a, b) => compareEntries(a.entry, b.entry)))),
      createWriteStream(join(context.out, `part_${root.number}.tar`)),
    )
  },
})

/** The layer's entries. A folder that the image has is not named, so that it stays as it is. */
function layerOf(missing: readonly string[], dropIn: string, from: (name: string) => string): LayerInput[] {
  const said = { uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map<string, Buffer>() }
  const folder = (path: string): LayerInput => ({ entry: { ...said, type: 'directory', path, mode: 0o755 } })
  const text = (path: string, content: string): LayerInput => ({
    entry: { ...said, type: 'file', path, mode: 0o644, size: Buffer.byteLength(content) },
    content: Readable.from([Buffer.from(content)]),
  })
  const link: LayerEntry = {
    ...said,
    type: 'symlink',
    path: `${wantsFolder}/${unit}`,
    mode: 0o777,
    target: `/${unitFolder}/${unit}`,
  }
  return [
    ...[...missing, `${unitFolder}/${unit}.d`].map(folder),
    text(`${unitFolder}/${unit}.d/stable.conf`, dropIn),
    ...[...modes].map(([name, mode]) => {
      const path = name === program ? `usr/bin/${name}` : `${unitFolder}/${name}`
      const file = from(name)
      return {
        entry: { ...said, type: 'file' as const, path, mode, size: statSync(file).size },
        content: createReadStream(file),
      }
    }),
    { entry: link },
  ]
}

/** `a/b/c` → a, a/b, a/b/c. */
function parents(path: string): string[] {
  const parts = path.split('/')
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'))
}
