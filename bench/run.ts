/**
 * npm run bench [-- PATTERN]: this program beside its peers, one table out.
 * docs/benchmarks.md says how to read it.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import type { Results } from './chart.ts'
import { drawChart } from './draw-chart.ts'
import { machine } from './machine.ts'
import { runPeer, shortReason } from './peers/run.ts'
import { seed } from './peers/seed.ts'
import { makeProject } from './project.ts'
import { preface, table } from './report.ts'
import type { Row } from './row.ts'
import { card } from './scenarios/card.ts'
import { otherChanges } from './scenarios/changes.ts'
import { codecScenario } from './scenarios/codecs.ts'
import { cold } from './scenarios/cold.ts'
import { decompress } from './scenarios/decompress.ts'
import { desk } from './scenarios/desk.ts'
import { edit } from './scenarios/edit.ts'
import { fleetAllocate } from './scenarios/fleet-allocate.ts'
import { fleetClaim } from './scenarios/fleet-claim.ts'
import { fleetStorm } from './scenarios/fleet-storm.ts'
import { fleetTunnels } from './scenarios/fleet-tunnels.ts'
import { larger } from './scenarios/larger.ts'
import { memory } from './scenarios/memory.ts'
import { nothingToDo } from './scenarios/nothing-to-do.ts'
import type { Bench, Ground, PlainScenario, Scenario } from './scenarios/scenario.ts'
import type { StockImage } from './stock.ts'
import { fiveTimes, type ImageOptions, sizesOf, stockImage } from './stock-image.ts'
import { makeWorkplace, type Workplace } from './workplace.ts'

const checkout = dirname(import.meta.dirname)
/** What ends first comes first: who watches sees a figure soon. */
const scenarios: readonly (Scenario | PlainScenario)[] = [
  fleetClaim,
  nothingToDo,
  decompress,
  desk,
  card,
  cold,
  edit,
  otherChanges,
  larger,
  memory,
  codecScenario,
  fleetAllocate,
  fleetTunnels,
  fleetStorm,
]

interface Options extends ImageOptions {
  runs: number
  peers: boolean
  svg?: string | true
  /** Devices. */
  most: number
}

const program = new Command('npm run bench --')
  .description('Times this program beside its peers and prints one table of ratios.')
  .argument('[pattern]', 'only scenarios whose name holds this', '')
  .option('--image <file>', 'a stock .img.xz to work on; default: one is made, 1 GiB')
  .option('--debian', 'make that image by the stage debian, and measure this: takes minutes and a mirror')
  .option('--os <ostype>', 'which OS is in it, as `install` takes it', 'Debian')
  .option(
    '--runs <n>',
    'how often both sides of a ratio run; what takes minutes runs less often',
    positive,
    5,
  )
  .option('--no-peers', 'an edit beside the shell script alone: spares ten minutes')
  .option(
    '--most <n>',
    'so many devices at most in the scenarios of the fleet, for a trial',
    positive,
    1_000_000,
  )
  .option('--cache <folder>', 'keep the images that are made there, for the next time')
  .option('--svg [results]', 'measure nothing: draw docs/bench.svg of a results file, by default the newest')
  .addHelpText('after', `\nScenarios:\n${scenarios.map((one) => `  ${one.name}: ${one.about}`).join('\n')}`)
  .action((pattern: string, options: Options) =>
    options.svg === undefined ? bench(pattern, options) : draw(options.svg),
  )
await program.parseAsync()

async function draw(results: string | true): Promise<void> {
  const { from, to } = await drawChart(checkout, results === true ? undefined : results)
  say(`${to}, of ${from}`)
}

async function bench(pattern: string, options: Options): Promise<void> {
  const chosen = scenarios.filter((scenario) => scenario.name.includes(pattern))
  if (chosen.length === 0) {
    program.error(
      `no scenario is called ${pattern}: there are ${scenarios.map((one) => one.name).join(', ')}`,
    )
  }
  const facts = machine(checkout)
  const taken = new Date().toISOString()
  const results = join(checkout, 'bench/results', `${taken.replaceAll(/[:.]/g, '-')}.json`)
  await mkdir(dirname(results), { recursive: true })
  const rows: Row[] = []
  say('making a place to work in')
  const workplace = await makeWorkplace()
  try {
    const ground = { workplace, runs: options.runs, most: options.most, say }
    const stock = chosen.every((one) => one.withoutImage) ? undefined : await getStock(workplace, options)
    const image = stock && (await sizesOf(stock))
    const given = stock && benchOf(ground, stock, options)
    for (const scenario of chosen) {
      say(`${scenario.name}: ${scenario.about}`)
      const run = scenario.withoutImage ? scenario.run(ground) : scenario.run(given!)
      rows.push(...(await rowsOf(scenario, run)))
      // Each time: who ends it early keeps what was measured.
      const kept: Results & { options: Options } = {
        taken,
        machine: facts,
        options,
        ...(image ? { image } : {}),
        rows,
      }
      await writeFile(results, `${JSON.stringify(kept, undefined, 2)}\n`)
    }
  } finally {
    await workplace.remove()
  }
  process.stdout.write(`\n${preface(facts)}\n${table(rows)}\n`)
  say(`with the commands: ${results}`)
}

function getStock(workplace: Workplace, options: Options): Promise<StockImage> {
  say('getting the stock image ready')
  return stockImage(workplace, options)
}

function benchOf(ground: Ground, stock: StockImage, options: Options): Bench {
  const { workplace } = ground
  return {
    ...ground,
    peers: options.peers,
    stock,
    fiveTimes: (kind) => fiveTimes(workplace, options, kind, stock),
    seed: once(async () => {
      say('running the shell script')
      const { overlays } = await makeProject(workplace, 'seed', stock)
      return runPeer(seed, { workplace, stock, overlays }, { runs: options.runs, few: 2 })
    }),
  }
}

async function rowsOf({ name }: { name: string }, run: Promise<Row[]>): Promise<Row[]> {
  try {
    return await run
  } catch (error) {
    // The others may still run; who reads the table sees that this one did not.
    process.exitCode = 1
    return [{ name, notRun: shortReason(error) }]
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
