/** The two users of a fleet's databases, as the server has them: what one leaves at a crash, the other can go on with. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { steps } from '../../lib/fleet/registry/server.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { disk, ended, genRequest, RegistryServer } from '../helpers/registry.ts'

const skip = needsRoot || needs('setpriv', 'sqlite3')
/** fleetsie and fleetsie_birds, each with a group of its own. */
const [main, birds] = [64_001, 64_002]
const registry = JSON.stringify(new URL('../helpers/registry.ts', import.meta.url).href)
const genModule = JSON.stringify(new URL('../../lib/fleet/server/requests/gen.ts', import.meta.url).href)

/** Runs a script as one of the users, with nothing but its own group. */
function as(user: number, script: string): ReturnType<typeof ended> {
  const args = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups']
  const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', script]
  return ended(
    spawn('setpriv', [...args, ...node], { stdio: 'pipe', env: { ...process.env, HOME: '/nonexistent' } }),
  )
}

test('each user can go on with what the other left at a crash', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-users-'))
  try {
    const own = (path: string, user: number, group: number, mode: number): void => {
      chownSync(path, user, group)
      chmodSync(path, mode)
    }
    own(folder, main, main, 0o711)
    for (const path of ['fleets', 'fleets/birds']) mkdirSync(join(folder, path))
    own(join(folder, 'fleets'), main, main, 0o711)
    // As units/fleetsie_root makes it.
    own(join(folder, 'fleets/birds'), birds, main, 0o2770)
    writeFileSync(join(folder, 'authorized_keys.birds'), '')
    own(join(folder, 'authorized_keys.birds'), main, main, 0o666)

    const gen = (step: string | undefined): ReturnType<typeof ended> =>
      as(
        main,
        `import { RegistryServer } from ${registry}
         import { gen } from ${genModule}
         process.umask(0o077)
         const server = new RegistryServer(${JSON.stringify(folder)})
         let opened = false
         server.helper.ownFiles = async () => { if (!opened) throw new Error('asked for its files') }
         server.reached = (at) => {
           opened ||= at === 'files'
           if (at === ${JSON.stringify(step)}) process.kill(process.pid, 'SIGKILL')
         }
         console.log(JSON.stringify(await gen(server, ${JSON.stringify(genRequest({ num: 3, disk: disk(1) }))})))`,
      )
    const first = await gen(undefined)
    assert.equal(first.end, 0, first.stderr)
    let reply = JSON.parse(first.stdout)
    for (const name of ['fleet.sqlite', 'provisioning.sqlite']) {
      own(join(folder, 'fleets/birds', name), birds, birds, 0o600)
      const owned = await gen(undefined)
      assert.match(
        owned.stderr,
        /asked for its files/,
        'what only the fleet can write is asked for before it is opened',
      )
      own(join(folder, 'fleets/birds', name), birds, main, 0o666)
    }
    let device = 0
    for (const step of steps) {
      assert.equal((await gen(step)).end, 'SIGKILL', step)
      const left = readdirSync(join(folder, 'fleets/birds'))
      device += 1
      const { otp } = reply.disk.devices[0]
      const claim = await as(
        birds,
        `import { RegistryServer } from ${registry}
         const server = new RegistryServer(${JSON.stringify(folder)})
         console.log(await server.claim(${device}, ${JSON.stringify(otp)}, { lot: ${JSON.stringify(disk(1).lot)} }))
         // A crash of its own, in the middle of a change.
         const db = server.fleet()
         db.begin()
         db.run("UPDATE devices SET hwid = 'half' WHERE hwid IS NULL")
         process.kill(process.pid, 'SIGKILL')`,
      )
      t.diagnostic(`killed after ${step}, which left ${left.join(' ')}: ${claim.stdout.split('\n')[0]}`)
      assert.match(claim.stdout, /^Ok\n/, `after ${step}: ${claim.stdout}${claim.stderr}`)
      const next = await gen(undefined)
      assert.equal(next.end, 0, next.stderr + next.stdout)
      reply = JSON.parse(next.stdout)
    }
    for (const name of readdirSync(join(folder, 'fleets/birds'))) {
      assert.equal(lstatSync(join(folder, 'fleets/birds', name)).mode & 0o777, 0o666, name)
    }
    assert.deepEqual(new RegistryServer(folder).faults(), [])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
