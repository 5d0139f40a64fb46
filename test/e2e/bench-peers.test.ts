/** A peer that skips work would flatter itself, and us who stand beside it. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { decompressTo, rawSize, readTable, tools } from '../../bench/disk.ts'
import { makeFiveTimes } from '../../bench/five-times.ts'
import { checkOutput } from '../../bench/peers/check.ts'
import { genimage } from '../../bench/peers/genimage.ts'
import { nix } from '../../bench/peers/nix.ts'
import type { Peer } from '../../bench/peers/peer.ts'
import { runPeer } from '../../bench/peers/run.ts'
import { seed } from '../../bench/peers/seed.ts'
import type { Workplace } from '../../bench/workplace.ts'
import { needs, needsRoot } from '../helpers/needs.ts'

const checkout = join(import.meta.dirname, '../..')
const stock = { path: join(checkout, 'fixtures/sample.img.xz'), os: 'Debian', about: 'the sample' }

describe('a peer', { skip: needs('xz', 'sfdisk', 'mcopy') }, () => {
  let root: string
  let overlays: string
  let workplace: Workplace
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'fleetsie-peers-'))
    overlays = join(root, 'overlays')
    await mkdir(join(overlays, 'part_1'), { recursive: true })
    await mkdir(join(overlays, 'part_2/etc'), { recursive: true })
    await writeFile(join(overlays, 'part_1/bench.txt'), 'boot')
    await writeFile(join(overlays, 'part_2/etc/motd'), 'edited')
    const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }
    workplace = { root, checkout, env, remove: async () => {} }
  })
  after(() => rm(root, { recursive: true, force: true }))

  const peers: [Peer, string | false][] = [
    [seed, false],
    [genimage, needsRoot || needs('genimage')],
    [nix, needs('nix-build')],
  ]
  for (const [peer, skip] of peers) {
    it(`${peer.name} makes an image that passes our check`, { skip }, async () => {
      const { samples, output } = await runPeer(peer, { workplace, stock, overlays }, { runs: 1, few: 1 })
      assert.equal(samples.length, 1)
      assert.ok(output.size > 500_000)
    })
  }

  it('that leaves the overlays out is found', async () => {
    const lazy: Peer = {
      name: 'lazy',
      ready: async ({ folder }) => {
        const output = join(folder, 'out.img.xz')
        return {
          subject: { command: 'cp', args: [stock.path, output], cwd: folder, env: workplace.env },
          output,
        }
      },
    }
    const run = runPeer(lazy, { workplace, stock, overlays }, { runs: 1, few: 1 })
    await assert.rejects(run, /bench\.txt is not in its partition 1/)
  })

  it('whose image has other files than the stock is found', async () => {
    const folder = join(root, 'others')
    await mkdir(folder)
    const disk = join(folder, 'disk.img')
    const run = tools(folder)
    await decompressTo(run, stock.path, disk)
    const { offset } = (await readTable(run, disk)).partitions.at(-1)!
    const commands = Array.from(
      { length: 20 },
      (_, n) => `write ${join(overlays, 'part_2/etc/motd')} /etc/more-${n}`,
    )
    await writeFile(join(folder, 'commands'), `${commands.join('\n')}\n`)
    await run('debugfs', ['-w', '-f', join(folder, 'commands'), `${disk}?offset=${offset}`])
    await run('xz', ['-0', disk])
    const without = { workplace, stock, overlays: join(root, 'no-overlays'), folder }
    await assert.rejects(checkOutput(without, `${disk}.xz`), /it has \d+ files, the stock \d+/)
    await checkOutput(without, stock.path)
  })
})

describe('an image five times as large', { skip: needs('xz', 'sfdisk') }, () => {
  for (const kind of ['disk', 'data'] as const) {
    it(`in its ${kind} keeps its partitions and fills the disk`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'fleetsie-five-'))
      t.after(() => rm(folder, { recursive: true }))
      const output = join(folder, 'large.img.xz')
      await makeFiveTimes(kind, stock.path, output, join(folder, 'tmp'))
      const run = tools(folder)
      assert.equal(await rawSize(run, output), 5 * (await rawSize(run, stock.path)))
      const disk = join(folder, 'disk.img')
      await decompressTo(run, output, disk)
      const [boot, root] = (await readTable(run, disk)).partitions
      assert.equal(root!.offset + root!.size, (await stat(disk)).size)
      assert.ok(boot!.size < root!.offset)
      const used = async (path: string): Promise<number> => (await stat(path)).blocks * 512
      const before = join(folder, 'stock.img')
      await decompressTo(run, stock.path, before)
      const factor = (await used(disk)) / (await used(before))
      assert.ok(kind === 'data' ? factor > 4.5 && factor < 7 : factor < 2, `${factor}`)
    })
  }
})
