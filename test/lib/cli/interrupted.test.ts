import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkout } from '../../helpers/npm-project.ts'
import { temporaryFolder } from '../../helpers/store.ts'

const script = `
import { main } from ${JSON.stringify(join(checkout, 'lib/cli/main.ts'))}
setImmediate(() => process.kill(process.pid, 'SIGINT'))
await main(['gc'], undefined)
`

test('a verb that was interrupted does not end like one that was not', (t) => {
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', script],
    { cwd: checkout, encoding: 'utf8', env: { ...process.env, FLEETSIE_STORE: temporaryFolder(t) } },
  )
  assert.deepEqual([status, stderr], [130, 'error: interrupted by SIGINT\n'])
})
