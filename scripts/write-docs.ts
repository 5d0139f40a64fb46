/**
 * Makes the pages that repeat what the code says: docs/stages/NAME.md from each stage's metadata, docs/verbs.md from
 * the command line's help, and docs/errors.md from the table of errors. `--check` only says which page is out of date.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { toJsonSchema } from '@valibot/to-json-schema'
import type { Command } from 'commander'
import { program } from '../lib/cli/program.ts'
import type { Session } from '../lib/cli/session.ts'
import type { Stage } from '../lib/engine/stage.ts'
import { errorCodes } from '../lib/errors.ts'
import * as stages from '../stages/index.ts'

interface JsonSchema {
  type?: string
  enum?: unknown[]
  const?: unknown
  anyOf?: JsonSchema[]
  items?: JsonSchema
  description?: string
  default?: unknown
  properties?: Record<string, JsonSchema>
  required?: string[]
}

const docs = resolve(import.meta.dirname, '..', 'docs')

/** All generated pages: path below docs/ → text. */
export function generatedPages(): Map<string, string> {
  const pages = new Map<string, string>()
  const all = Object.values(stages)
    .filter(
      (value): value is typeof value & { stage: Stage } => typeof value === 'function' && 'stage' in value,
    )
    .map((value) => value.stage)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const stage of all) pages.set(`stages/${stage.name}.md`, stagePage(stage))
  const rows = all.map((stage) => `| [${stage.name}](${stage.name}.md) | ${stage.kind} | ${stage.summary} |`)
  pages.set(
    'stages/README.md',
    `# Stages\n\n| stage | kind | what it does |\n| --- | --- | --- |\n${rows.join('\n')}\n`,
  )
  pages.set('verbs.md', verbsPage())
  pages.set('errors.md', errorsPage())
  return pages
}

function stagePage(stage: Stage): string {
  const schema = toJsonSchema(stage.options, { errorMode: 'ignore', typeMode: 'input' }) as JsonSchema
  const rows = Object.entries(schema.properties ?? {}).map(([name, option]) => {
    const needed = schema.required?.includes(name) ? 'yes' : ''
    const standard = option.default === undefined ? '' : `\`${JSON.stringify(option.default)}\``
    return `| \`${name}\` | ${typeWords(option)} | ${needed} | ${standard} | ${cell(option.description ?? '')} |`
  })
  const kind =
    stage.kind === 'build'
      ? 'A build stage: its output depends on its inputs and options alone, and is cached.'
      : 'A deploy stage: it makes something outside the store equal to its inputs. Applied twice, it changes nothing.'
  return `# ${stage.name}

${stage.summary}

${kind}

\`\`\`ts
${stage.example.trim()}
\`\`\`

${stage.description.trim()}

## Options

| option | takes | required | default | |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`
}

/** A bar would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}

function typeWords(schema: JsonSchema): string {
  if (schema.enum) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(' or ')
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.anyOf) return schema.anyOf.map(typeWords).join(' or ')
  if (schema.type === 'array') return `list of: ${typeWords(schema.items ?? {})}`
  // A custom schema has no JSON form: only derivations are custom.
  return schema.type ?? 'the result of a stage'
}

function verbsPage(): string {
  // Help is all that is asked of it.
  const verbs = leaves(program({} as Session))
  return `# Verbs

What \`fleetsie help VERB\` prints. \`npx zx pipeline.ts VERB\` is the same; \`fleetsie_mod\`, \`fleetsie_gen\` and
\`fleetsie_srv\` are short for the verbs of the [desk](desk.md), \`gen\` and \`srv\`. Exit codes: [errors.md](errors.md).
${verbs.map((verb) => `\n## ${pathOf(verb)}\n\n\`\`\`\n${helpOf(verb).trim()}\n\`\`\`\n`).join('')}`
}

/** Verbs, without the groups that hold them. */
function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves)
}

function pathOf(verb: Command): string {
  return verb.parent?.parent ? `${pathOf(verb.parent)} ${verb.name()}` : verb.name()
}

function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({
    writeOut: (part) => {
      text += part
    },
    getOutHelpWidth: () => 100,
    getOutHasColors: () => false,
  })
  command.outputHelp()
  return text
}

function errorsPage(): string {
  const rows = Object.entries(errorCodes).map(
    ([code, { exit, meaning }]) => `| \`${code}\` | ${exit} | ${meaning} |`,
  )
  return `# Errors

Exit code 0: done, nothing to do, or help. With \`--json\` the last line is an \`error\` event with the code.

| code | exit code | meaning |
| --- | --- | --- |
${rows.join('\n')}
`
}

if (process.argv[1] === import.meta.filename) {
  const stale: string[] = []
  for (const [name, text] of generatedPages()) {
    const path = join(docs, name)
    let present = ''
    try {
      present = readFileSync(path, 'utf8')
    } catch {
      // A new page.
    }
    if (present === text) continue
    stale.push(`docs/${name}`)
    if (process.argv.includes('--check')) continue
    mkdirSync(resolve(path, '..'), { recursive: true })
    writeFileSync(path, text)
  }
  if (process.argv.includes('--check') && stale.length > 0) {
    process.stderr.write(`out of date, run \`npm run docs\`: ${stale.join(', ')}\n`)
    process.exitCode = 1
  }
}
