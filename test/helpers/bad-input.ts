/** Runs builds of bad input by the whole program: an error with file, place and remedy, and nothing half-written. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { Store } from '../../lib/engine/store/store.ts'
import { missing } from './disks.ts'
import { copyCode, type Scratch, scratchProject } from './scratch.ts'

/** A build of the sample that differs in one thing. */
export interface BadInput {
  title: string
  /** Files of the project. */
  files?: Record<string, string | Uint8Array>
  prepare?: (scratch: Scratch) => unknown
  /** In place of the project's own stock image. */
  stock?: Uint8Array | (() => Uint8Array)
  /** Expressions of pipeline.ts. */
  from?: string
  layers?: string
  save?: string
  args?: string[]
  env?: Record<string, string>
  code: number
  error: RegExp
  skip?: string | false
}

/** One test a case: it ends with the case's exit code and error, and leaves out/ and the store as they were. */
export function refuses(group: string, cases: readonly BadInput[]): void {
  describe(group, {
    concurrency: 2,
    skip: missing('xz', 'debugfs', 'sfdisk', 'mkfs.ext4', 'mkswap', 'openssl'),
  }, () => {
    let folder = ''
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'fleetsie-bad-'))
      await copyCode(join(folder, 'code'))
    })
    after(() => removeTree(folder))

    for (const one of cases) {
      test(`${one.title}: exit code ${one.code}`, { skip: one.skip ?? false }, async (t) => {
        const scratch = await scratchProject(join(folder, 'code'))
        t.after(() => scratch.remove())
        await setUp(scratch, one)
        const out = { 'sample_fleetsie.img.xz': 'an earlier image', 'ca.crt': 'an earlier certificate' }
        for (const [name, content] of Object.entries(out)) await scratch.write(`out/${name}`, content)

        const env = { XDG_CACHE_HOME: join(scratch.folder, 'cache'), ...one.env }
        const ended = await scratch.run(['build', ...(one.args ?? [])], { env })
        assert.match(ended.stderr, one.error)
        assert.equal(ended.code, one.code, ended.stderr)
        assert.match(ended.stderr, /^error: /m)
        assert.doesNotMatch(ended.stdout + ended.stderr, /SECRET-MARK|^ {4}at .*\(.*:\d+:\d+\)/m)
        await assertUntouched(scratch, out)
      })
    }
  })
}

async function setUp(scratch: Scratch, one: BadInput): Promise<void> {
  const { from = `fetch({ file: 'stock.img.xz' })`, layers = usual(one) } = one
  const { save = `{ stock, image, table, layers, name: 'sample' }` } = one
  await scratch.write(
    'pipeline.ts',
    `import { decompress, fetch, input, install, mount, overlay, pipeline, save, sign, stage } from '${scratch.code}/lib/index.ts'
import { needy, script, thrower } from './stages.ts'
await pipeline({
  sample: () => {
    const stock = ${from}
    const image = decompress({ from: stock })
    const table = mount({ image })
    const layers = ${layers}
    return sign({ artifacts: save(${save}), out: 'out' })
  },
})
`,
  )
  await scratch.write('stages.ts', ownStages(scratch.code))
  const stock = typeof one.stock === 'function' ? one.stock() : one.stock
  if (stock) {
    await rm(join(scratch.project, 'stock.img.xz'))
    await scratch.write('stock.img.xz', stock)
  }
  for (const [name, content] of Object.entries(one.files ?? {})) await scratch.write(name, content)
  await one.prepare?.(scratch)
}

/** No overlay where the case has none: an empty one would be what is refused. */
function usual({ files, prepare }: BadInput): string {
  const overlaid = files !== undefined || prepare !== undefined
  return `[${overlaid ? `overlay({ from: 'overlays' }), ` : ''}install({ image, os: 'Debian' })]`
}

/** out/ is as it was, the store is whole, and no work folder is left. */
async function assertUntouched(scratch: Scratch, out: Record<string, string>): Promise<void> {
  const names = await readdir(join(scratch.project, 'out'))
  assert.deepEqual(names.sort(), Object.keys(out).sort())
  for (const [name, content] of Object.entries(out)) {
    assert.equal(await readFile(join(scratch.project, 'out', name), 'utf8'), content)
  }
  const store = await Store.open(scratch.store, { readOnly: true }).catch(() => undefined)
  if (!store) return
  assert.deepEqual((await store.verify()).problems, [])
  await store.close()
  assert.deepEqual(await readdir(join(scratch.store, 'stage')), [])
}

const ownStages = (code: string): string => `
import * as v from 'valibot'
import { stage } from '${code}/lib/index.ts'
const common = { kind: 'build', module: import.meta.url, summary: '', description: '', example: '' }
export const needy = stage({ ...common, name: 'needy', options: v.strictObject({}), tools: () => ['no-such-program'], run: async () => {} })
export const thrower = stage({ ...common, name: 'thrower', options: v.strictObject({}), run: async () => { throw new Error('no such colour') } })
export const script = stage({
  ...common, name: 'script', options: v.strictObject({ text: v.string(), timeout: v.optional(v.number(), 60_000) }),
  run: async ({ run, options: { text, timeout } }) => { await run('sh', ['-c', text], { timeout }) },
})
`
