/** takeIn and layOut killed at many moments: the next call comes to what one that nobody ended comes to. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { toolEnvironment } from '../helpers/disks.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { makeDisk, TestDesk } from '../lib/images/desk/rig.ts'

const driver = fileURLToPath(new URL('../lib/images/desk/mounting-driver.ts', import.meta.url))
const kills = 6
const work = `
cd part_2; for i in $(seq 300); do echo $i > file$i; chmod 600 file$i; done; mkdir -p a/b/c; mknod a/dev c 1 3
rm -r etc/deep; mkdir etc/deep; echo x > etc/deep/y; ln -s x a/l; head -c 3000000 /dev/zero > large; cd ../part_1; echo 1 > new; rm etc/hostname`
const more =
  'cd part_2; rm file1*; for i in 2 3 4; do echo more >> file$i; done; rm -r a; echo a > a; chmod 644 file2'

/** Milliseconds until it ended, by itself or killed after `ms`. `by` runs it. */
async function drive(desk: TestDesk, verb: string, ms?: number, by: readonly string[] = []): Promise<number> {
  const program = [process.execPath, '--import', import.meta.resolve('tsx'), driver]
  const [command, ...args] = [...by, ...program, verb, desk.folder, desk.disk]
  const begin = Date.now()
  const child = spawn(command!, args, { env: toolEnvironment, stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  if (ms !== undefined) {
    await Promise.race([sleep(ms), ended])
    child.kill('SIGKILL')
  }
  await ended
  if (ms === undefined && by.length === 0) assert.equal(JSON.parse(out).error, undefined, out)
  return Date.now() - begin
}

const sh = (desk: TestDesk, script: string): string =>
  execFileSync('sh', ['-euc', script], { cwd: desk.folder, encoding: 'utf8' })
const overlays = (desk: TestDesk): string =>
  sh(
    desk,
    'cd overlays; find . -printf "%P %y %m %l\\n" | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum',
  )
const merged = (desk: TestDesk): string =>
  sh(
    desk,
    'find part_1 part_2 -printf "%P %y %m %U %l\\n" | sort; find part_1 part_2 -type f -print0 | sort -z | xargs -0 sha256sum',
  )

test('killed at any moment, taking in and laying out come to the same in the end', {
  skip: needsRoot,
}, async () => {
  const disk = makeDisk()
  const desks = [new TestDesk(disk), new TestDesk(disk)] as const
  const [whole, killed] = desks
  try {
    for (const desk of desks) await drive(desk, 'mount')
    for (const script of [work, more]) {
      for (const desk of desks) sh(desk, script)
      const takes = await drive(whole, 'take')
      for (let i = 1; i <= kills; i++) await drive(killed, 'take', (takes * i) / kills)
      await drive(killed, 'take')
      assert.equal(overlays(killed), overlays(whole))
      for (const desk of desks) await drive(desk, 'unmount')
      // What is laid out is another state, as after a checkout.
      for (const desk of desks) {
        sh(
          desk,
          'rm -f overlays/part_2/file3*; sed -i /file3/d overlays/part_2.mtree; echo hand > overlays/part_2/file4; rm -f overlays/part_2/etc/deep/.wh..wh..opq',
        )
      }
      const lays = await drive(whole, 'lay')
      for (let i = 1; i <= kills; i++) await drive(killed, 'lay', (lays * i) / kills)
      for (const desk of desks) await drive(desk, 'mount')
      assert.equal(overlays(killed), overlays(whole))
      assert.equal(merged(killed), merged(whole))
    }
    for (const desk of desks) await drive(desk, 'unmount')
  } finally {
    for (const desk of desks) desk.remove()
    disk.remove()
  }
})

test('killed before any name that it gives in overlays/, the next taking in leaves nothing beside them', {
  skip: needsRoot || needs('strace'),
}, async () => {
  const disk = makeDisk()
  const desk = new TestDesk(disk)
  const trace = join(desk.top, 'trace')
  try {
    await drive(desk, 'mount')
    let killed = 0
    for (let step = 1; ; step++) {
      // A mark that hides a folder of the stock, a file, a line: each new.
      sh(
        desk,
        `cd part_2; mkdir -p etc; for name in $(ls -A); do [ $name = lost+found ] || rm -r $name; done
        mkdir etc; echo ${step} > etc/new; chmod 600 etc/new`,
      )
      // It counts each thread's calls by themselves.
      const inject = `inject=rename,renameat,renameat2:signal=KILL:when=${step}`
      const strace = ['env', 'UV_THREADPOOL_SIZE=1', 'strace', '-f', '-o', trace, '-e', inject]
      await drive(desk, 'take', undefined, strace)
      await drive(desk, 'take')
      const now = overlays(desk)
      assert.doesNotMatch(now, /\.part\b/)
      assert.match(now, /^part_2\/etc\/new f 600/m)
      assert.match(now, /^part_2\/etc\/\.wh\.\.wh\.\.opq f 644/m)
      if (!readFileSync(trace, 'utf8').includes('+++ killed by SIGKILL')) break
      killed += 1
      // As it was.
      sh(desk, 'cd part_2; rm -r etc')
      await drive(desk, 'unmount')
      sh(desk, 'rm -rf .new_2 .desk/baseline_2.json overlays')
      await drive(desk, 'mount')
    }
    // The mark, the file, the list of lines, the baseline.
    assert.ok(killed >= 4, `${killed} steps`)
    await drive(desk, 'unmount')
  } finally {
    desk.remove()
    disk.remove()
  }
})
