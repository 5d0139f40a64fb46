/** A project whose pipeline makes an image, and cards that `updatesd` writes it to. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { blankCard } from './cards.ts'
import { MiB, missing } from './disks.ts'
import { copyCode, type Finished, type Scratch, scratchProject } from './scratch.ts'

export const skip = missing('xz', 'debugfs', 'cmp', 'flock', 'python3')

const pipelineText = `import { decompress, fetch, mount, overlay, pipeline, save, updatesd } from 'CODE/lib/index.ts'
const stock = () => fetch({ file: 'stock.img.xz', sha256: '2a3cbc74ac37dd836342e593a6ac1f0029f0979d14db35613f84b87ece2509b9' })
const artifacts = () => {
  const image = decompress({ from: stock() })
  const layers = [overlay({ from: 'overlays' })]
  return save({ stock: stock(), image, table: mount({ image }), layers, name: 'test' })
}
await pipeline({
  image: artifacts,
  card: () => updatesd({ artifacts: artifacts(), whole: './deployed.img' }),
})
`
export const cardSize = 150 * MiB
/** What a virtual disk does that fails in nothing. */
export const honest = {
  get_size: `[ -f $f ] || truncate -s ${cardSize} $f; echo ${cardSize}`,
  pread: 'dd if=$f bs=64K iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none',
}

/** For a suite: a project that all its tests share, with its first image built and unpacked (`raw`). */
export function cardProject() {
  let folder = ''
  let scratch: Scratch
  let raw = ''
  const inFolder = (name: string): string => join(folder, name)
  const card = (name: string, size = cardSize): string => blankCard(inFolder(name), size)
  const updatesd = (args: readonly string[], how?: Parameters<Scratch['run']>[1]): Promise<Finished> =>
    scratch.run(['updatesd', '--json', ...args], {
      ...how,
      env: { XDG_CACHE_HOME: inFolder('cache'), ...how?.env },
    })
  const edit = (text: string): Promise<void> => scratch.write('overlays/part_2/etc/motd', text)
  /** Builds, and gives the image unpacked by xz. */
  const built = async (name: string): Promise<string> => {
    const ended = await scratch.run(['build', 'image', '--json'])
    assert.equal(ended.code, 0, ended.stdout + ended.stderr)
    const artifacts = ended.events.flatMap((event) => (event.type === 'artifacts' ? event.artifacts : []))
    const image = artifacts.find(({ path }) => path.endsWith('.img.xz'))!.path
    execFileSync('sh', ['-c', 'xz -dc -- "$1" >"$2"', 'sh', image, inFolder(name)])
    execFileSync('cp', [image.replace(/xz$/, 'bmap'), inFolder(name.replace(/img$/, 'bmap'))])
    return inFolder(name)
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'fleetsie-cards-'))
    // Another user reads it as well.
    chmodSync(folder, 0o755)
    await copyCode(join(folder, 'code'))
    scratch = await scratchProject(join(folder, 'code'))
    await scratch.write('pipeline.ts', pipelineText.replace('CODE', join(folder, 'code')))
    await edit('first\n')
    raw = await built('first.img')
  })
  after(async () => {
    await scratch?.remove()
    rmSync(folder, { recursive: true, force: true })
  })
  return { inFolder, card, updatesd, edit, built, scratch: () => scratch, raw: () => raw }
}
