/** Cards that are written, in words. */
import type { BuildEvent, CardProgress } from '../../engine/events.ts'
import { formatBytes, formatDuration } from '../format.ts'
import { bar } from './bar.ts'

type Report = Extract<BuildEvent, { type: 'card' }>

const slow: Record<string, string> = {
  reading: 'reading the image',
  decoding: 'decoding the image',
  writing: 'the card, writing',
  verifying: 'the card, reading',
}

/**
 * `sdc          writing    ███████░░░░░░░  1.1 GiB of 1.7 GiB  41.0 MiB/s  15 s left  slowest: the card, writing`, and
 * in less than 80 columns where there are not more.
 */
export function cardRow(progress: CardProgress, columns: number): string {
  const { card, phase, done, total, rate, left, slowest } = progress
  const speed = [
    `${formatBytes(Math.round(rate))}/s`,
    ...(left === undefined ? [] : [`${formatDuration(left)} left`]),
  ]
  const share = total === 0 ? 1 : done / total
  const long = [
    `${shortName(card, 12)} ${phase.padEnd(9)} ${bar(share)}`,
    `${formatBytes(done)} of ${formatBytes(total)}`,
    ...speed,
    `slowest: ${slow[slowest] ?? slowest}`,
  ].join('  ')
  if (long.length < columns) return long
  const short = [`${shortName(card, 8)} ${phase.padEnd(9)} ${bar(share, 9)}`, formatBytes(done), ...speed]
  return [...short, `slow: ${slowest}`].join('  ')
}

/** Of a path the end tells which it is. */
function shortName(name: string, width: number): string {
  return name.length <= width ? name.padEnd(width) : `…${name.slice(1 - width)}`
}

/** For logs: without a bar. */
export function cardProgressLine({ card, phase, done, total, rate, left }: CardProgress): string {
  const percent = total === 0 ? 100 : Math.floor((done / total) * 100)
  const rest = left === undefined ? '' : `, ${formatDuration(left)} left`
  return `${card.padEnd(12)} ${phase} ${percent} % of ${formatBytes(total)}, ${formatBytes(Math.round(rate))}/s${rest}`
}

const found: Record<string, string> = {
  receipt: 'what differs was known from the receipt of its last write',
  compared: 'what differs was found by reading it',
  full: 'all of it was written',
  files: 'file by file',
}

/** The report of one card: what was done, by what means, and that it may go. */
export function cardReport(report: Report): string[] {
  const { how, bytesCompared, bytesWritten, bytesVerified, bytesSaved, sampled, files } = report
  const amounts = [
    `written ${formatBytes(bytesWritten)}`,
    `verified ${formatBytes(bytesVerified)}`,
    ...(bytesSaved > 0 ? [`saved ${formatBytes(bytesSaved)}`] : []),
    ...(bytesCompared > 0 ? [`compared ${formatBytes(bytesCompared)}`] : []),
    ...(sampled > 0 ? [`sampled ${formatBytes(sampled)}`] : []),
  ]
  const indent = ' '.repeat(13)
  return [
    `${report.card.padEnd(12)} done in ${formatDuration(report.ms)}: ${amounts.join(', ')}`,
    `${indent}${report.resumed ? 'went on where it was interrupted; ' : ''}${found[how] ?? how}${filesText(files)}`,
    `${indent}safe to remove`,
  ]
}

function filesText(files: Report['files']): string {
  if (!files) return ''
  const { added, changed, removed, kept } = files
  return `: ${added} added, ${changed} changed, ${removed} removed; ${kept} of the device's own kept`
}
