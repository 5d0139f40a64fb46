/** A difference as lines for people and as facts for programs. */

import { textDiff } from '../../formats/text-diff.ts'
import type { Aspect } from '../../images/diff/compare.ts'
import type { Fact, ImageChange, Volumes } from '../../images/diff/diff-images.ts'
import type { FileState } from '../../images/diff/tree.ts'
import { printable } from '../../images/printable.ts'
import type { Volume } from '../../images/volume.ts'
import { formatBytes } from '../format.ts'

/** Of a file whose lines are compared. */
const mostText = 256 * 1024

const signs = { added: '+', removed: '-', changed: '~' } as const

export function factText({ name, before, after }: Fact): string {
  return `${name} ${value(name, before)} -> ${value(name, after)}`
}

function value(name: string, text: string | undefined): string {
  if (text === undefined) return 'none'
  return name === 'size' || name === 'offset' ? `${text} (${formatBytes(Number(text))})` : text
}

/** `~ etc/motd  content 115 B -> 120 B, mode 0644 -> 0600`. */
export function changeText({ path, kind, before, after, differs }: ImageChange): string {
  const name = path === '' ? '.' : printable(path)
  if (kind !== 'changed') return `  ${signs[kind]} ${name}  ${stateText((after ?? before)!)}`
  const words = differs.map((aspect) => aspectText(aspect, before!, after!))
  return `  ~ ${name}  ${words.join(', ')}`
}

function aspectText(aspect: Aspect, before: FileState, after: FileState): string {
  switch (aspect) {
    case 'type':
      return `${before.type} -> ${after.type}`
    case 'content':
      return `content ${formatBytes(before.size)} -> ${formatBytes(after.size)}`
    case 'mode':
      return `mode ${octal(before)} -> ${octal(after)}`
    case 'owner':
      return `owner ${owner(before)} -> ${owner(after)}`
    case 'xattr':
      return `xattr ${xattrText(before, after)}`
    case 'target':
      return `link ${printable(before.target ?? '')} -> ${printable(after.target ?? '')}`
    case 'device':
      return `device ${device(before)} -> ${device(after)}`
    case 'time':
      return `time ${time(before)} -> ${time(after)}`
  }
}

function stateText(state: FileState): string {
  const what = {
    file: formatBytes(state.size),
    symlink: `-> ${printable(state.target ?? '')}`,
    directory: 'folder',
    character: `character device ${device(state)}`,
    block: `block device ${device(state)}`,
    fifo: 'fifo',
    socket: 'socket',
  }[state.type]
  return `${octal(state)} ${owner(state)} ${what}`
}

const octal = ({ mode }: FileState): string => mode.toString(8).padStart(4, '0')
const owner = ({ uid, gid }: FileState): string => `${uid}:${gid}`
const device = (state: FileState): string =>
  state.device ? `${state.device.major}:${state.device.minor}` : 'none'
const time = ({ mtime }: FileState): string =>
  `${new Date(mtime.seconds * 1000).toISOString().slice(0, 19)}.${String(mtime.nanoseconds).padStart(9, '0')}Z`

function xattrText({ xattrs: a }: FileState, { xattrs: b }: FileState): string {
  const names = [...new Set([...a.keys(), ...b.keys()])].sort()
  return names
    .flatMap((name) => {
      const [old, now] = [a.get(name), b.get(name)]
      if (old && now) return old.equals(now) ? [] : [`${printable(name)} changed`]
      return [`${printable(name)} ${old ? 'removed' : 'added'}`]
    })
    .join(' and ')
}

export function changeData(partition: number, change: ImageChange): unknown {
  const { path, kind, differs, before, after } = change
  const state = (of: FileState | undefined): unknown =>
    of && {
      type: of.type,
      mode: octal(of),
      uid: of.uid,
      gid: of.gid,
      size: of.size,
      mtime: time(of),
      ...(of.target === undefined ? {} : { target: printable(of.target) }),
      ...(of.device ? { device: device(of) } : {}),
      xattrs: Object.fromEntries(
        [...of.xattrs].map(([name, bytes]) => [printable(name), bytes.toString('base64')]),
      ),
    }
  return { partition, path: printable(path), kind, differs, before: state(before), after: state(after) }
}

/** The lines in which a file differs; empty for what is no text on one of its sides, or too long. */
export function contentLines(change: ImageChange, volumes: Volumes): string[] {
  const { nodes, differs, kind } = change
  if (kind === 'changed' && !differs.includes('content')) return []
  const before = textOf(volumes.before, nodes.before, change.before)
  const after = textOf(volumes.after, nodes.after, change.after)
  if (before === undefined || after === undefined) return []
  return textDiff(before, after).map((line) => `    ${line.replace(/\t/g, '    ')}`)
}

function textOf(volume: Volume, id: number | undefined, state: FileState | undefined): string | undefined {
  if (id === undefined || state === undefined) return ''
  if (state.type !== 'file' || state.size > mostText) return undefined
  const whole = Buffer.alloc(state.size)
  for (const { at, bytes } of volume.pieces(id)) bytes.copy(whole, at)
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(whole)
    return text.includes('\0') ? undefined : text
  } catch {
    return undefined
  }
}
