/** Projects of their own that import the compiled package, as a user's would. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { imageOf } from './built.ts'
import { track } from './git.ts'
import { measure, type Sample, type Subject } from './measure.ts'
import type { StockImage } from './stock.ts'
import { fleetsie, type Workplace } from './workplace.ts'

export interface Project {
  folder: string
  overlays: string
  /** The file that edits edit. */
  motd: string
  build(...args: string[]): Subject
}

/**
 * A project with the targets `image`, all the way to the signed artifacts; `second`, a variant of it; `scripted` and
 * `packaged`, where a script runs in the image and packages are installed; `table` and `customized`, which end early.
 */
export async function makeProject(at: Workplace, name: string, stock: StockImage): Promise<Project> {
  const folder = await writeProject(at, name, {
    'overlays/part_1/bench.txt': 'a file for the boot partition\n',
    'overlays/part_2/etc/motd': 'the first text\n',
    'variants/second/part_2/etc/variant': 'the second\n',
    'customize.sh': 'echo customized > /etc/customized\n',
    'packages/README': 'Packages that the target packaged installs.\n',
    'pipeline.mjs': `
import { readdirSync } from 'node:fs'
import { customize, decompress, fetch, install, mount, overlay, pipeline, save, sign } from '${at.checkout}/dist/lib/index.js'
const stock = fetch({ file: ${JSON.stringify(stock.path)} })
const image = decompress({ from: stock })
const table = mount({ image })
const layers = [overlay({ from: 'overlays' }), install({ image, os: ${JSON.stringify(stock.os)} })]
const packages = readdirSync('packages').filter((name) => name.endsWith('.deb')).map((name) => 'packages/' + name)
const signed = (name, layers) => sign({ artifacts: save({ stock, image, table, layers, name }), out: 'out' })
const script = customize({ image, table, layers, script: 'customize.sh' })
await pipeline({
  image: () => signed('bench', layers),
  second: () => signed('second', [...layers, overlay({ from: 'variants/second' })]),
  scripted: () => signed('scripted', [...layers, script]),
  packaged: () => signed('packaged', [...layers, customize({ image, table, layers, packages, script: 'customize.sh' })]),
  table: () => table,
  customized: () => script,
})
`,
  })
  return projectAt(at, folder)
}

export function projectAt(at: Workplace, folder: string): Project {
  const overlays = join(folder, 'overlays')
  const build = (...args: string[]): Subject => fleetsie(at, folder, 'build', '--json', ...args)
  return { folder, overlays, motd: join(overlays, 'part_2/etc/motd'), build }
}

/** Whether the last of the builds made what `build` makes in an empty store, which is run now, for that. */
export async function sameFromNothing(at: Workplace, build: Subject, last: Sample): Promise<boolean> {
  const { sha256 } = imageOf(build, last)
  const store = join(at.root, 'empty-store')
  const subject = { ...build, env: { ...build.env, FLEETSIE_STORE: store } }
  const same = imageOf(subject, await measure(subject)).sha256 === sha256
  await rm(store, { recursive: true })
  return same
}

/** A project with the target `stock`: the image that the stage `debian` makes. */
export async function makeDebianProject(at: Workplace): Promise<string> {
  return writeProject(at, 'debian', {
    'pipeline.mjs': `
import { debian, pipeline } from '${at.checkout}/dist/lib/index.js'
await pipeline({ stock: () => debian({ lock: '${at.checkout}/debian.lock' }) })
`,
  })
}

async function writeProject(at: Workplace, name: string, files: Record<string, string>): Promise<string> {
  const folder = join(at.root, name)
  for (const [path, content] of Object.entries({ '.gitignore': 'out/\n', ...files })) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  track(folder)
  return folder
}

let edits = 0
/** A text that no build of this bench has seen: what was built before would only be looked up. */
export function newText(): string {
  edits++
  return `edited ${edits} times\n`
}
