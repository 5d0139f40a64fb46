/** Random work at a desk, mounted and unmounted again and again: a build makes just what was in the merged tree. */
import { execFileSync, spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { needs, needsRoot } from '../helpers/needs.ts'
import { Random } from '../helpers/random.ts'
import { DeskRig, sameTrees, stock } from '../lib/images/desk/merged-rig.ts'
import { randomEdit } from '../lib/images/desk/random-edits.ts'

const skip = needsRoot || needs('getfattr', 'mke2fs')
const seeds = (process.env['FLEETSIE_SEEDS'] ?? '1,2,3').split(',')

for (const seed of seeds) {
  test(`whatever is done at the desk, a build makes just that: seed ${seed}`, { skip }, async (t) => {
    const random = new Random(`desk ${seed}`)
    const rig = await DeskRig.open(t, stock)
    const done: string[] = []
    for (let round = 0; round < 4; round++) {
      await rig.mount()
      if (round > 0) sameTrees(await rig.merged(), await rig.built(), `mounted again\n${done.join('\n')}`)
      for (let left = random.int(1, 12); left > 0; left--) {
        const paths = rig
          .sh('find . -mindepth 1 -not -path ./lost+found -printf "%P\\0"')
          .split('\0')
          .slice(0, -1)
        const edit = randomEdit(random, paths.length > 0 ? paths : ['none'])
        // A fifo waits for who reads it.
        const how = { cwd: rig.at('part_2'), stdio: 'pipe', timeout: 30_000 } as const
        const { status } = spawnSync('bash', ['-ec', edit], how)
        if (status === 0) done.push(edit)
      }
      const merged = await rig.merged()
      await rig.unmount()
      sameTrees(await rig.built(), merged, `round ${round}\n${done.join('\n')}`)
      if (random.chance(0.5)) rig.commit()
      done.push('# unmounted')
    }
    rig.commit()
    const clone = rig.at('clone')
    execFileSync('git', ['clone', '-q', rig.folder, clone])
    sameTrees(await rig.built(clone), await rig.built(), 'of a clone')
  })
}
