/** `diff`: in what two images differ, by partition and by file. */
import { availableParallelism } from 'node:os'
import { type Run, runner } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { diffImages } from '../../images/diff/diff-images.ts'
import { type Base, kindOf, type Side, type Unpacked, unpack } from '../../images/diff/unpack.ts'
import { openDiskImage } from '../../images/flash/disk-image.ts'
import { partitionName } from '../../images/partition-edit.ts'
import { toBytes } from '../../images/volume.ts'
import { changeData, changeText, contentLines, factText } from '../diff/lines.ts'
import { findOperand, type Operand, stockImages } from '../diff/operand.ts'
import { formatBytes } from '../format.ts'
import type { Session } from '../session.ts'

interface DiffVerbOptions {
  json?: boolean
  only?: string
  text?: boolean
  times?: boolean
  exitCode?: boolean
}

export async function diff(session: Session, a: string, b: string, options: DiffVerbOptions): Promise<void> {
  await session.show({ json: options.json, live: true })
  const where = { project: session.project, openStore: () => session.openStore() }
  const operands = [await findOperand(a, where), await findOperand(b, where)] as const
  const stocks = [...(await stockImages(a, where)), ...(await stockImages(b, where))]
  const store = await session.openStore()
  // On the store's disk: there is room for images, in /tmp often not.
  const workspace = await store.workspace()
  try {
    const run = runner({ home: workspace.tmp, signal: session.signal })
    const [before, after] = await unpackBoth(session, operands, stocks, run, workspace.tmp)
    const differs = tell(session, before, after, options)
    if (differs && options.exitCode) process.exitCode = 1
  } finally {
    await store.discard(workspace)
  }
}

async function unpackBoth(
  session: Session,
  operands: readonly [Operand, Operand],
  stocks: readonly Operand[],
  run: Run,
  tmp: string,
): Promise<[Unpacked, Unpacked]> {
  const { signal } = session
  const open: Side[] = []
  try {
    const jobs = availableParallelism()
    for (const { name, file, manifest } of operands) {
      const known = manifest ? { manifest } : {}
      const image = await openDiskImage({ file, name, run, tmp, jobs, signal, ...known })
      open.push({ image, file, kind: await kindOf(file) })
    }
    const bases: Base[] = stocks.flatMap(({ file, manifest }) =>
      manifest ? [{ disk: file, chunks: manifest.chunks }] : [],
    )
    // A raw one first: the other may be told as a change of it.
    const order = open[0]!.kind !== 'raw' && open[1]!.kind === 'raw' ? [1, 0] : [0, 1]
    const unpacked: Unpacked[] = []
    for (const index of order) {
      const { name } = operands[index]!
      const progress = (done: number, total: number): void =>
        session.emit({ type: 'progress', target: 'diff', stage: name, done, total, unit: 'bytes' })
      session.emit({ type: 'start', target: 'diff', stage: name, because: 'its files are read' })
      const made = await unpack(open[index]!, {
        bases,
        tmp,
        name: `disk-${index}`,
        run,
        jobs,
        signal,
        progress,
      })
      if (!made.patch) bases.push(made)
      unpacked[index] = made
    }
    return [unpacked[0]!, unpacked[1]!]
  } finally {
    for (const { image } of open) await image.close()
  }
}

/** Tells all that differs; answers whether anything does. */
function tell(session: Session, before: Unpacked, after: Unpacked, options: DiffVerbOptions): boolean {
  const { signal } = session
  const say = (text: string, data: unknown): void => session.emit({ type: 'answer', text, data })
  const counts = { added: 0, removed: 0, changed: 0 }
  let bytes = 0
  let others = 0
  let heading: { text: string; data: unknown } | undefined
  const underHeading = (text: string, data: unknown): void => {
    if (heading) say(heading.text, heading.data)
    heading = undefined
    say(text, data)
  }
  const only = onlyOf(options.only)
  const sameBytes = diffImages(before, after, {
    times: options.times ?? false,
    only,
    signal,
    onDisk: (facts, outside) => {
      if (only) return
      for (const fact of facts) say(`disk: ${factText(fact)}`, { disk: fact })
      if (outside > 0) say('disk: bytes outside of the partitions differ', { outside })
      others += facts.length + (outside > 0 ? 1 : 0)
    },
    onPartition: (number, facts, { filesystem, label }) => {
      const about = [partitionName({ number }), filesystem, label].filter(Boolean).join(' ')
      heading = { text: about, data: { partition: number, filesystem, label } }
      if (only?.path) return
      others += facts.length
      for (const fact of facts) underHeading(`  ${factText(fact)}`, { partition: number, fact })
    },
    onFile: (number, change, volumes) => {
      counts[change.kind]++
      bytes += (change.after?.size ?? 0) - (change.before?.size ?? 0)
      const lines = options.text ? contentLines(change, volumes) : []
      const data = changeData(number, change) as object
      underHeading(changeText(change), lines.length > 0 ? { ...data, lines } : data)
      if (!options.json) for (const line of lines) say(line, undefined)
    },
    onBytes: (number, why, chunks) => {
      others++
      const text =
        why === 'metadata'
          ? "no file differs, but the filesystem's own data do: times, order, what was deleted"
          : `its files cannot be read; ${chunks} of its MiB differ`
      underHeading(`  ${text}`, { partition: number, bytes: why, chunks })
    },
  })
  const files = counts.added + counts.removed + counts.changed
  const sign = bytes < 0 ? '-' : '+'
  const text =
    files > 0
      ? `${files === 1 ? '1 file differs' : `${files} files differ`}: ${counts.added} added, ${counts.changed} changed, ${counts.removed} removed (${sign}${formatBytes(Math.abs(bytes))})`
      : sameBytes
        ? 'the images are the same, byte for byte'
        : `no file differs${options.times || only ? '' : ' but in its time, if at all'}`
  say(text, { same: sameBytes, files, ...counts, bytes })
  return files > 0 || others > 0
}

/** `part_2/etc`, `/etc` in any partition, `part_2`. */
function onlyOf(text: string | undefined): { partition?: number; path: string } | undefined {
  if (text === undefined) return undefined
  const match = /^\/?part_(\d{1,3})(?:\/|$)(.*)$/s.exec(text)
  const path = (match ? match[2]! : text).split('/').filter((part) => part !== '' && part !== '.')
  if (path.includes('..')) {
    throw new FleetsieError('E_USAGE', `--only ${text}: a path from the top of a partition is needed`)
  }
  return { path: toBytes(path.join('/')), ...(match ? { partition: Number(match[1]) } : {}) }
}
