/** `mount` beside the commands that a user would type. */
import { execFileSync } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { inTurn, measure, type Subject } from '../measure.ts'
import { compared } from '../row.ts'
import { fleetsie } from '../workplace.ts'
import type { Scenario } from './scenario.ts'

/** The last partition: the stock images of this bench have their root there. */
const byHand = `
set -eu
start=$(sfdisk --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["partitiontable"]["partitions"][-1]["start"])')
loop=$(losetup --find --show --read-only --offset $((start * 512)) "$1")
mkdir -p by-hand/lower by-hand/upper by-hand/work by-hand/merged
mount -o ro,noload "$loop" by-hand/lower
mount -t overlay -o lowerdir=by-hand/lower,upperdir=by-hand/upper,workdir=by-hand/work overlay by-hand/merged
echo "$loop" > by-hand/loop
`
const undoByHand = `
set -eu
if [ -e by-hand/loop ]; then
  umount by-hand/merged by-hand/lower
  losetup --detach "$(cat by-hand/loop)"
  rm -r by-hand
fi
`

export const desk: Scenario = {
  name: 'desk',
  about: 'the verb mount on a desk with a few changes, beside losetup and mount (needs root)',
  async run({ workplace, runs, stock }) {
    const name = 'desk, mount'
    const beside = 'losetup and mount'
    if (process.getuid?.() !== 0) return [{ name, beside, notRun: 'a loop device needs root' }]
    const cwd = join(workplace.root, 'desk')
    await mkdir(cwd)
    await measure(fleetsie(workplace, cwd, 'init', stock.path))
    const root = execFileSync('sh', ['-c', 'ls -d part_* | tail -n 1'], { cwd, encoding: 'utf8' }).trim()
    execFileSync('sh', ['-c', 'echo changed >"$1"/etc/motd; rm -r "$1"/usr/share/doc', 'sh', root], { cwd })
    const unmount = fleetsie(workplace, cwd, 'unmount')
    await measure(unmount)
    let mounted = false
    // One at a time: ours refuses an image on which somebody else has put a loop device.
    const clean = async (): Promise<void> => {
      if (mounted) await measure(unmount)
      mounted = false
      execFileSync('sh', ['-c', undoByHand], { cwd: workplace.root, stdio: 'pipe' })
    }
    const ours: Subject = {
      ...fleetsie(workplace, cwd, 'mount'),
      async before() {
        await clean()
        mounted = true
      },
    }
    const disk = execFileSync('readlink', ['-f', '.image'], { cwd, encoding: 'utf8' }).trim()
    const peer: Subject = {
      command: 'sh',
      args: ['-c', byHand, 'sh', disk],
      cwd: workplace.root,
      env: workplace.env,
      before: clean,
    }
    try {
      const samples = await inTurn(ours, peer, runs)
      return [
        compared({
          name,
          beside,
          ours: { subject: ours, samples: samples.ours },
          peer: { subject: peer, samples: samples.peer },
          paired: true,
          goal: { of: 'wall', atMost: 1000 },
          about:
            'ours mounts all partitions and lays out what the overlay holds; by hand it is one, and nothing',
        }),
      ]
    } finally {
      await clean()
    }
  },
}
