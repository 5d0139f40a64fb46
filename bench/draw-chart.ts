/** docs/bench.svg of a file of results. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { chart, type Results } from './chart.ts'

/** `file`: by default the newest in bench/results. */
export async function drawChart(checkout: string, file?: string): Promise<{ from: string; to: string }> {
  const from = file === undefined ? await newest(join(checkout, 'bench/results')) : resolve(file)
  const results = JSON.parse(await readFile(from, 'utf8')) as Partial<Results>
  if (!results.taken || !results.machine || !Array.isArray(results.rows)) {
    throw new Error(`${from} holds no results of npm run bench`)
  }
  const to = join(checkout, 'docs/bench.svg')
  await writeFile(to, chart(results as Results))
  return { from, to }
}

async function newest(folder: string): Promise<string> {
  // They are named after their time.
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json')).sort()
  const last = names.at(-1)
  if (last === undefined) throw new Error('there are no results yet: npm run bench makes some')
  return join(folder, last)
}
