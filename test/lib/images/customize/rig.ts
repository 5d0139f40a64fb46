/** Runs `customize` on the sample image, with a project folder of its own. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Input, Realised, SourceHost } from '../../../../lib/engine/stage.ts'
import type { LayerEntry } from '../../../../lib/formats/layer/entry.ts'
import { readLayer } from '../../../../lib/formats/layer.ts'
import type { CustomizeOptions } from '../../../../lib/images/customize/customize.ts'
import { writeTable } from '../../../../lib/images/partition-table.ts'
import { readPartitionTable } from '../../../../lib/images/partitions.ts'
import { customize } from '../../../../stages/customize.ts'
import { buildContext, type ContextRecord, fakeInput } from '../../../helpers/context.ts'
import { type Member, pack } from '../../../helpers/layers.ts'

const fixture = join(import.meta.dirname, '../../../../fixtures/sample.img.xz')

export type Chosen = Partial<Omit<CustomizeOptions, 'image' | 'table' | 'layers'>> & { layers?: Input[] }

export interface Outcome {
  /** `part_2.tar` → path → entry; a whiteout's path begins with `-`. */
  layers: Map<string, Map<string, LayerEntry & { text?: string }>>
  /** `part_2.tar` → sha256. */
  digests: Record<string, string>
  bytes: Map<string, Buffer>
  record: ContextRecord
  /** What is left in the stage's tmp folder. */
  left: string[]
}

export class Rig {
  readonly folder: string
  readonly project: string

  private constructor(folder: string) {
    this.folder = folder
    this.project = join(folder, 'project')
  }

  /** The image, decompressed, and its table. */
  static async open(): Promise<Rig> {
    const rig = new Rig(await mkdtemp(join(tmpdir(), 'fleetsie-customize-')))
    for (const name of ['image', 'table', 'project']) await mkdir(join(rig.folder, name))
    const disk = join(rig.folder, 'image/disk.img')
    const file = await open(disk, 'w')
    execFileSync('xz', ['-dc', fixture], { stdio: ['ignore', file.fd, 'pipe'] })
    await file.close()
    await writeTable(join(rig.folder, 'table'), await readPartitionTable(disk))
    return rig
  }

  static at(folder: string): Rig {
    return new Rig(folder)
  }

  async write(path: string, content: string | Buffer, mode = 0o644): Promise<string> {
    const file = join(this.project, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, content, { mode })
    return path
  }

  /** A layer set of the root partition. */
  async layer(name: string, members: readonly Member[]): Promise<Input> {
    const folder = join(this.folder, name)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'part_2.tar'), await pack(members))
    return fakeInput(folder)
  }

  get host(): SourceHost {
    return {
      cwd: this.project,
      sha256: async (file) =>
        createHash('sha256')
          .update(await readFile(file))
          .digest('hex'),
      note: () => {},
    }
  }

  async run(
    chosen: Chosen,
    more: { signal?: AbortSignal; log?: (text: string) => void } = {},
  ): Promise<Outcome> {
    const { stage } = customize
    if (stage.kind !== 'build') throw new Error('customize is a build stage')
    const options = { layers: [], network: false, timeout: 120, ...chosen }
    const sources = await stage.sources!(options, this.host)
    const inputs = {
      image: fakeInput(join(this.folder, 'image')),
      table: fakeInput(join(this.folder, 'table')),
    }
    const all = { ...options, ...inputs } as unknown as Realised<CustomizeOptions>
    const context = await buildContext<CustomizeOptions>(all, {
      sources,
      ...(more.signal && { signal: more.signal }),
    })
    const push = context.record.log.push.bind(context.record.log)
    context.record.log.push = (...lines) => {
      for (const line of lines) more.log?.(line)
      return push(...lines)
    }
    try {
      await stage.run(context)
      return { ...(await this.read(context.out)), record: context.record, left: await readdir(context.tmp) }
    } catch (error) {
      throw Object.assign(error as Error, {
        log: context.record.log.join(''),
        left: await readdir(context.tmp),
      })
    } finally {
      await context.remove()
    }
  }

  private async read(out: string): Promise<Pick<Outcome, 'layers' | 'digests' | 'bytes'>> {
    const layers: Outcome['layers'] = new Map()
    const digests: Outcome['digests'] = {}
    const bytes: Outcome['bytes'] = new Map()
    for (const name of (await readdir(out)).sort()) {
      const entries = new Map<string, LayerEntry & { text?: string }>()
      for await (const { entry, content } of readLayer(createReadStream(join(out, name)))) {
        const parts: Buffer[] = []
        for await (const part of content) parts.push(part)
        const key = entry.type === 'whiteout' ? `-${entry.path}` : entry.path
        entries.set(key, entry.type === 'file' ? { ...entry, text: Buffer.concat(parts).toString() } : entry)
      }
      layers.set(name, entries)
      bytes.set(name, await readFile(join(out, name)))
      digests[name] = createHash('sha256').update(bytes.get(name)!).digest('hex')
    }
    return { layers, digests, bytes }
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Mounts and loop devices of the whole machine that have to do with a folder. */
export async function traces(folder: string): Promise<string[]> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
  const loops = execFileSync('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'], {
    encoding: 'utf8',
  })
  return [...mounts, ...loops.split('\n')].filter((line) => line.includes(folder))
}

/** Processes in whose command line or environment `marker` stands. */
export async function processesWith(marker: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (line.includes(marker)) found.push(`${pid} ${line.replaceAll('\0', ' ').slice(0, 200)}`)
  }
  return found
}
