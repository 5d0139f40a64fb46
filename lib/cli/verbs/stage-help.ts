/** `help STAGE` and `STAGE --help`: what a stage does, and its options. */
import * as v from 'valibot'
import * as stages from '../../../stages/index.ts'
import type { Stage } from '../../engine/stage.ts'
import type { Session } from '../session.ts'

/** The stage that a command line asks about, if it does. */
export function stageAsked(args: readonly string[]): Stage | undefined {
  const [first, second] = args
  const name = first === 'help' ? second : ['--help', '-h'].includes(second ?? '') ? first : undefined
  return Object.values(stages)
    .map(({ stage }) => stage)
    .find((stage) => stage.name === name)
}

export function stageHelp(session: Session, stage: Stage): void {
  const options = Object.entries(
    (stage.options as { entries?: Record<string, v.GenericSchema> }).entries ?? {},
  )
  const width = Math.max(0, ...options.map(([name]) => name.length))
  const lines = [
    `${stage.name}: ${stage.summary}`,
    '',
    'In pipeline.ts:',
    `  ${stage.example.trim().replaceAll('\n', '\n  ')}`,
    '',
    'Options:',
    ...options.map(([name, schema]) =>
      `  ${name.padEnd(width)}  ${v.getDescription(schema) ?? ''}`.trimEnd(),
    ),
    '',
    stage.description.trim(),
  ]
  session.emit({
    type: 'answer',
    text: lines.join('\n'),
    data: { stage: stage.name, summary: stage.summary },
  })
}
