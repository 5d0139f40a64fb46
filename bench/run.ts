/**
 * npm run bench [-- PATTERN]: this program beside its peers, one table out.
 * docs/benchmarks.md says how to read it.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { machine } from './machine.ts'
import { preface, table } from './report.ts'
import type { Row } from './row.ts'
import { decompress } from './scenarios/decompress.ts'
import { edit } from './scenarios/edit.ts'
import { memory } from './scenarios/memory.ts'
import { nothingToDo } from './scenarios/nothing-to-do.ts'
import type { Scenario, StockImage } from './scenarios/scenario.ts'
import { type ImageOptions, stockImage } from './stock-image.ts'
import { makeWorkplace, type Workplace } from './workplace.ts'

const checkout = dirname(import.meta.dirname)
const scenarios: readonly Scenario[] = [nothingToDo, decompress, memory, edit]

interface Options extends ImageOptions {
  runs: number
}

const program = new Command('npm run bench --')
  .description('Times this program beside its peers and prints one table of ratios.')
  .argument('[pattern]', 'only scenarios whose name holds this', '')
  .option('--image <file>', 'a stock .img.xz for decompress, memory and edit; default: one is made, 1 GiB')
  .option('--debian', 'make that image by the stage debian, and measure this: takes minutes and a mirror')
  .option('--os <ostype>', 'which OS is in it, as `install` takes it', 'Debian')
  .option('--runs <n>', 'how often both sides of a ratio run', positive, 5)
  .addHelpText('after', `\nScenarios:\n${scenarios.map((one) => `  ${one.name}: ${one.about}`).join('\n')}`)
  .action(bench)
await program.parseAsync()

async function bench(pattern: string, options: Options): Promise<void> {
  const chosen = scenarios.filter((scenario) => scenario.name.includes(pattern))
  if (chosen.length === 0) {
    program.error(
      `no scenario is called ${pattern}: there are ${scenarios.map((one) => one.name).join(', ')}`,
    )
  }
  const facts = machine(checkout)
  say('making a place to work in')
  const workplace = await makeWorkplace()
  const rows: Row[] = []
  try {
    const image = once(() => {
      say('getting the large image ready')
      return stockImage(workplace, options)
    })
    for (const scenario of chosen) {
      say(`${scenario.name}: ${scenario.about}`)
      rows.push(...(await runOne(scenario, workplace, options.runs, image)))
    }
  } finally {
    await workplace.remove()
  }
  const results = join(checkout, 'bench/results')
  await mkdir(results, { recursive: true })
  const taken = new Date().toISOString()
  const file = join(results, `${taken.replaceAll(/[:.]/g, '-')}.json`)
  await writeFile(file, `${JSON.stringify({ taken, machine: facts, options, rows }, undefined, 2)}\n`)
  process.stdout.write(`\n${preface(facts)}\n${table(rows)}\n`)
  say(`with the commands: ${file}`)
}

async function runOne(
  scenario: Scenario,
  workplace: Workplace,
  runs: number,
  image: () => Promise<StockImage>,
): Promise<Row[]> {
  try {
    return await scenario.run({ workplace, runs, image })
  } catch (error) {
    // The others may still run; who reads the table sees that this one did not.
    process.exitCode = 1
    return [{ name: scenario.name, notRun: (error as Error).message.replaceAll(/\s+/g, ' ').slice(0, 300) }]
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}

function positive(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new InvalidArgumentError('It takes a whole number above 0.')
}

/** Progress goes to stderr: stdout is the table. */
function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
