/** A full disk under the registry, and a lock that nobody lets go. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { lockServer } from '../../lib/fleet/registry/lock.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { ended, RegistryServer } from '../helpers/registry.ts'

const registry = JSON.stringify(new URL('../helpers/registry.ts', import.meta.url).href)

// On a filesystem of its own. First there is less and less room for each call; then a call finds room, but the disk is full
// when it has reached a step.
const filling = (folder: string): string => `
  import { rmSync, statfsSync, writeFileSync } from 'node:fs'
  import { disk, genRequest, RegistryServer } from ${registry}
  import { steps } from ${JSON.stringify(new URL('../../lib/fleet/registry/server.ts', import.meta.url).href)}
  import { gen } from ${JSON.stringify(new URL('../../lib/fleet/server/requests/gen.ts', import.meta.url).href)}
  const server = new RegistryServer(${JSON.stringify(folder)})
  await server.gen({ num: 100, disk: disk(1) })
  const filler = server.folder + '/filler'
  const fill = (room) => {
    const { bavail, bsize } = statfsSync(server.folder)
    writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - room)))
  }
  const attempt = async (call) => {
    const failure = await gen(server, call).then(() => undefined, (error) => error)
    rmSync(filler, { force: true })
    return failure && { code: failure.code, exit: failure.exitCode, message: failure.message }
  }
  const told = []
  for (const room of [3.5, 3, 2.5, 2, 1.5, 1, 0.5, 0.1, 0]) {
    const before = server.rows('main').length
    fill(room * 1024 * 1024)
    const failure = await attempt(genRequest({ num: 100, disk: disk(2) }))
    await server.gen()
    told.push({ at: room, failure, grown: server.rows('main').length - before, faults: server.faults() })
  }
  for (const step of steps) {
    const before = server.rows('main').length
    const call = genRequest({ num: 100, disk: disk(2) })
    server.reached = (at) => at === step && fill(0)
    const failure = await attempt(call)
    server.reached = undefined
    const reply = await gen(server, call)
    told.push({ at: step, failure, grown: server.rows('main').length - before, generated: reply.generated.length, faults: server.faults() })
  }
  console.log(JSON.stringify(told))
`

test('on a full disk nothing is half done, and the next call is fine', {
  skip: needsRoot || needs('unshare', 'sqlite3'),
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-full-'))
  try {
    const script = 'mount -t tmpfs -o size=12m,mode=700 tmpfs "$1" && shift && exec "$@"'
    const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', filling(folder)]
    const child = spawn('unshare', ['-m', 'sh', '-c', script, 'sh', folder, ...node], { stdio: 'pipe' })
    const { end, stdout, stderr } = await ended(child)
    assert.equal(end, 0, stderr)
    const told = JSON.parse(stdout)
    for (const call of told) {
      t.diagnostic(JSON.stringify(call))
      assert.deepEqual(call.faults, [])
      if (call.failure) assert.deepEqual([call.failure.code, call.failure.exit], ['E_IO', 8])
      // What was refused for want of room has left nothing; what was broken off is ended by the same call.
      assert.equal(call.grown, typeof call.at === 'number' && call.failure ? 0 : 100)
    }
    const failed = told
      .filter(({ failure }: { failure?: object }) => failure)
      .map(({ at }: { at: unknown }) => at)
    for (const at of [0, 'main', 'provisioning']) assert.ok(failed.includes(at), `nothing failed at ${at}`)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('who waits for another for too long says so', async () => {
  const server = new RegistryServer()
  const unlock = lockServer(server.folder)
  try {
    await assert.rejects(server.gen({ num: 1 }), {
      code: 'E_IO',
      exitCode: 8,
      message: /has been at work for 30 s/,
    })
    unlock()
    assert.equal((await server.gen({ num: 1 })).unclaimed, 1)
  } finally {
    server.remove()
  }
})
