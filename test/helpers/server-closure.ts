/** The closure of fleet servers, built once for all test files of a run: see debian-target.ts. It takes npm's registry. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Architecture } from '../../lib/fleet/bundle/listing.ts'
import { scratchCheckout } from './scratch.ts'

const pipeline = `import { pipeline } from './lib/index.ts'
import { serverBundle } from './stages/server-bundle.ts'
await pipeline({
  x64: () => serverBundle({ architecture: 'x64' }),
  arm64: () => serverBundle({ architecture: 'arm64' }),
})
`

/** Gives the output folder of `server-bundle` to `use`: closure.tar and closure.json. */
export async function withServerClosure<T>(
  architecture: Architecture,
  use: (folder: string) => Promise<T>,
  store: string | undefined = sharedStore(),
): Promise<T> {
  const scratch = await scratchCheckout('project', store)
  try {
    await scratch.write('pipeline.ts', pipeline)
    const { code, stdout, stderr, events } = await scratch.run(['build', architecture, '--json'])
    assert.equal(code, 0, stdout + stderr)
    const made = events.flatMap((event) => (event.type === 'artifacts' ? event.artifacts : []))
    const tar = made.find(({ path }) => path.endsWith('/closure.tar'))
    assert.ok(tar && existsSync(tar.path), stdout)
    return await use(join(tar.path, '..'))
  } finally {
    await scratch.remove()
  }
}

function sharedStore(): string | undefined {
  const shared = process.env['FLEETSIE_TEST_SHARED']
  return shared && join(shared, 'store')
}
