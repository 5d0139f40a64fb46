/** One file of an overlay edited, to the signed artifact: by the bin and in watch mode, beside every peer. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { besidePeer, type OurRun, ourRun } from '../beside.ts'
import { imageOf } from '../built.ts'
import { decompressTo, tools } from '../disk.ts'
import { measure, repeat, type Sample, type Subject, settle } from '../measure.ts'
import { debos } from '../peers/debos.ts'
import { genimage } from '../peers/genimage.ts'
import { guestfish } from '../peers/guestfish.ts'
import { nix } from '../peers/nix.ts'
import { peersWithNoWay } from '../peers/none.ts'
import { limit } from '../peers/peer.ts'
import { peerNotRun, runPeer, shortReason } from '../peers/run.ts'
import { vmdb2 } from '../peers/vmdb2.ts'
import { makeProject, newText, type Project, sameFromNothing } from '../project.ts'
import { compared, type Row } from '../row.ts'
import type { StockImage } from '../stock.ts'
import { watching } from '../watching.ts'
import { fleetsie } from '../workplace.ts'
import type { Bench, Scenario } from './scenario.ts'

const peers = [guestfish, genimage, nix, debos, vmdb2]
/** Milliseconds between two edits in watch mode, as if somebody typed. */
const pause = 1000

export const edit: Scenario = {
  name: 'edit',
  about:
    'one file of an overlay edited: to the signed artifact, by the bin and in watch mode, beside all peers',
  async run(bench) {
    const { stock } = bench
    const project = await makeProject(bench.workplace, 'edit', stock)
    await measure(project.build('image'))
    const ours = await byBin(bench, project)
    const seed = await bench.seed()
    return [
      besidePeer('edit, by the bin', ours, seed, { goal: { of: 'ratio', atMost: 1 / 150 } }),
      await byWatch(bench, project),
      ...(bench.peers ? await besidePeers(bench, stock, project, ours) : []),
      ...(bench.peers ? peersWithNoWay('edit, by the bin') : []),
      ...(bench.peers ? [await besideBmaptool(bench, ours)] : []),
    ]
  },
}

async function byBin({ workplace, runs }: Bench, { build, motd }: Project): Promise<OurRun> {
  const subject: Subject = { ...build('image'), before: () => writeFile(motd, newText()) }
  const samples = await repeat(subject, runs)
  return ourRun(subject, samples, await sameFromNothing(workplace, build('image'), samples.at(-1)!))
}

async function byWatch(bench: Bench, { folder, motd, build }: Project): Promise<Row> {
  const name = 'edit, in watch mode'
  const subject = fleetsie(bench.workplace, folder, 'watch', 'image', '--json')
  try {
    const watch = await watching(subject)
    const samples: Sample[] = []
    try {
      for (let run = 0; run <= bench.runs; run++) {
        await setTimeout(pause)
        await settle()
        const sample = await watch.edit(() => writeFile(motd, newText()))
        const peak = await watch.peak()
        if (run > 0) samples.push({ ...sample, ...(peak === undefined ? {} : { peak }) })
      }
    } finally {
      await watch.end()
    }
    const same = await sameFromNothing(bench.workplace, build('image'), samples.at(-1)!)
    return besidePeer(name, ourRun(subject, samples, same), await bench.seed(), {
      goal: { of: 'ratio', atMost: 1 / 300 },
      about:
        'from the write to the event that tells the artifacts; the peak is that of the processes that stay',
    })
  } catch (error) {
    return { name, beside: 'shell script', notRun: shortReason(error) }
  }
}

async function besidePeers(bench: Bench, stock: StockImage, project: Project, ours: OurRun): Promise<Row[]> {
  const rows: Row[] = []
  for (const peer of peers) {
    bench.say(`edit: ${peer.name}`)
    try {
      const at = { workplace: bench.workplace, stock, overlays: project.overlays }
      const run = await runPeer(peer, at, { runs: bench.runs, few: 1 })
      rows.push(besidePeer('edit, by the bin', ours, run))
    } catch (error) {
      rows.push(peerNotRun('edit, by the bin', peer.name, error))
    }
  }
  return rows
}

/** Of our own image, so that both map the same blocks. */
async function besideBmaptool({ workplace, runs }: Bench, ours: OurRun): Promise<Row> {
  const name = 'block map alone'
  const disk = join(workplace.root, 'mapped.img')
  try {
    await decompressTo(tools(workplace.root), imageOf(ours.subject, ours.samples.at(-1)!).path, disk)
    const args = ['create', '--output', `${disk}.bmap`, disk]
    const subject: Subject = { command: 'bmaptool', args, cwd: workplace.root, env: workplace.env, limit }
    const samples = await repeat(subject, Math.min(runs, 3))
    const about = 'theirs of a disk image that is there; ours is the whole edit, the block map included'
    return compared({
      name,
      beside: 'bmaptool create',
      ours,
      peer: { subject, samples },
      paired: false,
      about,
    })
  } catch (error) {
    return peerNotRun(name, 'bmaptool create', error)
  } finally {
    await rm(disk, { force: true })
  }
}
