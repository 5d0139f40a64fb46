import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkout } from '../../helpers/npm-project.ts'

/** Emits after a line on stdin came, twice, and then does its work: a file name on the fourth stream. */
const script = `
import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { Session } from '${join(checkout, 'lib/cli/session.ts')}'
const session = new Session(undefined)
await once(process.stdin, 'data')
for (const text of ['first', 'second']) {
  session.emit({ type: 'answer', text, data: {} })
  session.emit({ type: 'warning', message: text })
  await new Promise(setImmediate)
}
await session.close()
createWriteStream('', { fd: 3 }).end('done')
process.stdin.destroy()
`

test('a build goes on to its end when who reads its output stops early', async () => {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: checkout,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  })
  const closed = [child.stdout, child.stderr].map((stream) => once(stream, 'close'))
  child.stdout.destroy()
  child.stderr.destroy()
  await Promise.all(closed)
  let told = ''
  child.stdio[3]!.on('data', (text) => {
    told += text
  })
  child.stdin.write('go\n')
  const [code] = await once(child, 'close')
  assert.deepEqual([code, told], [0, 'done'])
})
