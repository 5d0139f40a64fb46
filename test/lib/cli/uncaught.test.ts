import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkout } from '../../helpers/npm-project.ts'

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

function lives(pid: string): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

test('children end with a process that ends by an error that nobody catches', async () => {
  const args = ['--import', 'tsx', '--input-type=module', '-e', script]
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: checkout, encoding: 'utf8' })
  assert.match(stderr, /nobody catches this/)
  assert.match(stdout, /^\d+\n/)
  for (const end = Date.now() + 5000; Date.now() < end && lives(stdout.trim()); ) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(!lives(stdout.trim()))
})
