import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkout } from '../../helpers/npm-project.ts'
import { dead } from '../../helpers/processes.ts'

const script = `
import { Session } from ${JSON.stringify(join(checkout, 'lib/cli/session.ts'))}
import { runner } from ${JSON.stringify(join(checkout, 'lib/engine/process.ts'))}
new Session(undefined)
const log = (pid) => {
  console.log(pid)
  setImmediate(() => { throw new Error('nobody catches this') })
}
await runner({ home: '/', log })('sh', ['-c', 'echo $$ >&2; exec sleep 1000 2>/dev/null'])
`

test('children end with a process that ends by an error that nobody catches', async () => {
  const args = ['--import', 'tsx', '--input-type=module', '-e', script]
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: checkout, encoding: 'utf8' })
  assert.match(stderr, /nobody catches this/)
  assert.match(stdout, /^\d+\n/)
  await dead(Number(stdout))
})
