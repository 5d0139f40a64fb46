/** kill -9 at any moment of mounting or unmounting: the next call finds what is left and takes it away, and nothing else. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { missing } from '../helpers/disks.ts'
import { needsRoot } from '../helpers/needs.ts'
import { dead } from '../helpers/processes.ts'
import { Random } from '../helpers/random.ts'
import { asNobody, makeDisk, nobody, sha256, TestDesk } from '../lib/images/desk/rig.ts'

const skip =
  needsRoot || missing('losetup', 'mke2fs', 'mcopy', 'mkswap', 'setpriv', 'fuse2fs', 'fuse-overlayfs')

/** Processes that were started to mount this desk, whoever their parent is now. */
function mounting(tokens: ReadonlySet<string>): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const token = /FLEETSIE_DESK=([0-9a-f]{16})/.exec(readFileSync(`/proc/${name}/environ`, 'latin1'))?.[1]
      return token !== undefined && tokens.has(token) ? [Number(name)] : []
    } catch {
      return []
    }
  })
}

const tokenOf = (desk: TestDesk): string | undefined =>
  existsSync(desk.path('.mounted')) ? /"token": "(\w+)"/.exec(desk.read('.mounted'))?.[1] : undefined

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It was quicker.
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise((resolve) => child.once('close', resolve))
  }
}

for (const [form, by, owner, turns] of [
  ['root', [], 0, 15],
  ['a user', asNobody, nobody, 8],
] as const) {
  describe(`${form} is killed`, { skip }, () => {
    for (const verb of ['attach', 'detach'] as const) {
      test(`during ${verb}, ${turns} times at random moments`, async (t) => {
        const seed = process.env['SEED'] ?? `${Date.now()}`
        t.diagnostic(`SEED=${seed}`)
        const chance = new Random(seed)
        const disk = makeDisk()
        const desk = new TestDesk(disk, 'desk', owner)
        disk.remove()
        const tokens = new Set<string>()
        try {
          const stock = sha256(desk.disk)
          const states = new Map<unknown, number>()
          for (let turn = 0; turn < turns; turn += 1) {
            if (verb === 'detach') {
              const { error } = await desk.drive('attach', by)
              assert.equal(error, undefined, error?.message)
            }
            const started = tokenOf(desk)
            if (started !== undefined) tokens.add(started)
            const child = desk.start(verb, by)
            const begun = (): boolean =>
              verb === 'attach' ? tokenOf(desk) !== undefined : desk.mounts().length < 6
            while (!begun() && child.exitCode === null) await new Promise((resolve) => setImmediate(resolve))
            await new Promise((resolve) => setTimeout(resolve, chance.int(0, 100)))
            child.kill('SIGKILL')
            const token = tokenOf(desk)
            if (token !== undefined) tokens.add(token)
            // Every second time with all that it had started, as the kernel does when memory is short.
            for (const pid of turn % 2 === 0 ? mounting(tokens) : []) kill(pid)
            await ended(child)

            const { result } = await desk.drive('state', by)
            states.set(result, (states.get(result) ?? 0) + 1)
            if (result !== 'unmounted') {
              const { error } = await desk.drive('detach', by)
              assert.equal(error, undefined, error?.message)
            }
            for (const pid of mounting(tokens)) await dead(pid)
            assert.deepEqual(desk.mounts(), [])
            assert.deepEqual(await desk.stuckLoops(), [])
            assert.deepEqual(
              readdirSync(desk.folder).filter((name) => !/^\.new_\d$/.test(name)),
              ['.desk', 'os.img'],
            )
          }
          t.diagnostic(JSON.stringify([...states]))
          assert.equal(sha256(desk.disk), stock)
        } finally {
          desk.remove()
        }
      })
    }
  })
}
