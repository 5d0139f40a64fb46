/** Events as lines of text. The plain renderer prints them as they are, the live view above its own lines. */
import { relative } from 'node:path'
import type { BuildEvent } from '../../engine/events.ts'
import { formatBytes, formatDuration } from '../format.ts'
import { cardReport } from './card-lines.ts'
import { resourceLines, serverLine } from './server-lines.ts'

/** Where a line belongs: answers and results go to stdout, remarks and errors to stderr. */
export interface Line {
  text: string
  stream: 'stdout' | 'stderr'
}

/** The lines of an event; none for progress, which only a live view shows. `multi`: several targets are built. */
export function linesOf(event: BuildEvent, multi: boolean): Line[] {
  const where = (target: string, stage: string): string => (multi ? `${target}/${stage}` : stage)
  switch (event.type) {
    case 'start':
    case 'progress':
    case 'card-progress':
      return []
    case 'stage':
      return [out(stageLine(where(event.target, event.stage), event.action, event.ms, event.because))]
    case 'failed':
      return [
        err(`${where(event.target, event.stage).padEnd(12)} failed: ${firstLine(event.message)}`),
        ...(event.log ? [err(`${' '.repeat(13)}the whole log: ${event.log}`)] : []),
      ]
    case 'note':
      return [out(remark(event.stage, event.message))]
    case 'warning':
      return [err(remark(event.stage, `warning: ${event.message}`))]
    case 'waiting':
      return [err(remark(event.stage, event.message))]
    case 'evicted':
      return [err(`store        evicted ${event.object} (${formatBytes(event.bytes)}): ${event.reason}`)]
    case 'summary':
      return [out(summaryLine(multi ? event.target : 'done', event))]
    case 'artifacts':
      return event.artifacts.map((artifact) =>
        out(
          `${artifact.sha256.slice(0, 12)}  ${artifact.kind.padEnd(11)}  ${oneLine(shownPath(artifact.path))}`,
        ),
      )
    case 'changed':
      return [out(`edited       ${editedFiles(event.paths, event.more)}`)]
    case 'ready':
      return readyLines(event)
    case 'card':
      return cardReport(event).map(out)
    case 'card-failed':
      return [err(`${event.card.padEnd(12)} failed: ${firstLine(event.message)}`)]
    case 'resource':
      return resourceLines(event).map(out)
    case 'server':
      return [out(serverLine(event))]
    case 'server-failed':
      return [err(`${event.server.padEnd(12)} failed: ${firstLine(event.message)}`)]
    case 'output':
      return [{ text: harmless(event.text), stream: event.stream }]
    case 'answer':
      return [out(event.text)]
    case 'error':
      return [
        err(`error: ${naming(event)}${event.message}`),
        ...(event.hint === undefined ? [] : [err(`  try: ${event.hint}`)]),
      ]
  }
}

/** The file, where the message does not name it itself. */
function naming({ file, message }: Extract<BuildEvent, { type: 'error' }>): string {
  return file === undefined || message.includes(file) ? '' : `${file}: `
}

function summaryLine(name: string, { ran, stages, ms }: Extract<BuildEvent, { type: 'summary' }>): string {
  const did = ran === 0 ? 'nothing to do' : `${ran} of ${stages} stages ran`
  return `${name.padEnd(12)} ${'after'.padEnd(11)} ${formatDuration(ms).padStart(8)}  ${did}`
}

function editedFiles(paths: readonly string[], more: number): string {
  return `${paths.map(oneLine).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function readyLines({ result, ms, artifacts }: Extract<BuildEvent, { type: 'ready' }>): Line[] {
  const after = `after ${formatDuration(ms)}`
  switch (result) {
    case 'unchanged':
      return []
    case 'failed':
      return [err('waiting      for the next edit')]
    case 'same':
      return [out(`ready        ${after}  the result is the same`)]
    case 'built': {
      const [first, ...others] = artifacts
      const files = first
        ? `  ${oneLine(shownPath(first.path))}${others.length > 0 ? ` and ${others.length} more` : ''}`
        : ''
      return [out(`ready        ${after}${files}`)]
    }
  }
}

function stageLine(name: string, action: string, ms: number, because: string): string {
  const time = action === 'cached' || action === 'unchanged' ? '' : formatDuration(ms)
  return `${name.padEnd(12)} ${action.padEnd(11)} ${time.padStart(8)}  because ${oneLine(because)}`
}

// The last line of a build tells one failure in full. Where there are several, the others are told here only.
function firstLine(message: string): string {
  return message.split('\n', 1)[0]!
}

function remark(stage: string | undefined, message: string): string {
  return `${(stage ?? '').padEnd(12)} ${message.replaceAll('\n', `\n${' '.repeat(13)}`)}`
}

function out(text: string): Line {
  return { text: harmless(text), stream: 'stdout' }
}

function err(text: string): Line {
  return { text: harmless(text), stream: 'stderr' }
}

/**
 * Names of files and what programs print may hold anything. What steers a terminal or turns the direction of text is
 * spelled out.
 */
function harmless(text: string): string {
  return text.replace(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16)
    return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`
  })
}

// One line for each result, whatever the file is called that it is about.
function oneLine(text: string): string {
  return text.replaceAll('\n', '\\x0a').replaceAll('\t', '\\x09')
}

/** As short as a shell here takes it. */
function shownPath(path: string): string {
  const name = relative('', path)
  return name.startsWith('..') ? path : name
}
