import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { DeskRig, sameTrees, stock } from './merged-rig.ts'

const skip = needsRoot || needs('getfattr', 'mke2fs')

const cases: Record<string, string> = {
  'a file is edited, one is made, one is removed':
    'echo new >> etc/hostname; echo n > etc/new; rm etc/conf.d/one',
  'modes, owners and attributes alone':
    'chmod 600 etc/hostname; chown 5:6 etc/conf.d/one; setfattr -n user.a -v b etc/conf.d/two; chmod 0700 home/pi; setfattr -x user.note d/sub/y; chmod 755 tmp',
  'devices, fifos and empty folders':
    'mknod dev1 c 1 7; mknod -m 600 dev2 b 259 70000; mkfifo -m 640 etc/f; mkdir -p srv/a/b; mkdir -m 2775 srv/c; chown 7:8 srv/c',
  'a folder is removed and made again':
    'rm -r etc/conf.d; mkdir etc/conf.d; echo 1 > etc/conf.d/three; rm -r d/sub; mkdir -m 700 d/sub',
  "a file in a folder's place and the reverse":
    'rm -r d; echo d > d; rm etc/hostname; mkdir etc/hostname; echo in > etc/hostname/x; rm lib; mkdir lib; echo l > lib/l; rm var/fifo; mkdir var/fifo',
  links:
    'ln -s /x etc/x; ln -sf elsewhere var/link; rm etc/conf.d/one; ln -s two etc/conf.d/one; chown -h 3:4 etc/x; rm -r home; ln -s opt home',
  renames:
    'mv etc/conf.d etc/conf.e; mv d/sub/y d/y; mv usr/bin/tool usr/bin/tool2; mkdir n; echo 1 > n/1; mv n m',
  'capabilities, setuid and sticky':
    'setfattr -n security.capability -v 0sAQAAAgAgAAAAAAAAAAAAAAAAAAA= usr/bin/tool; cp etc/hostname usr/bin/own; chmod 6711 usr/bin/own; mkdir -m 1777 spool; chmod 4755 etc/conf.d/two; setfattr -n trusted.t -v 1 etc/conf.d/two',
  'odd names': `mkdir 'a b'; echo 1 > 'a b/c"d'; echo 2 > "it's #1"; echo 3 > 'back\\slash'; echo 4 > $'new\\nline'; echo 5 > ./-dash; echo 6 > ümläut; chmod 600 ./-dash 'back\\slash' $'new\\nline' ümläut "it's #1" 'a b/c"d'; echo 7 > ${'n'.repeat(255)}; rm 'opt/a b'; echo c > constructor; echo p > __proto__; chmod 640 __proto__ constructor`,
  'hard links become two files': 'echo h > etc/h; ln etc/h etc/h2; ln d/sub/y d/z',
  'what git would leave out': `echo '*.log' > .gitignore; echo l > var/log/x.log; mkdir k; echo '*' > k/.gitignore; echo 1 > k/1`,
  'everything is removed': 'rm -rf etc usr lib home var d tmp opt',
}

for (const [name, script] of Object.entries(cases)) {
  test(`a build makes just the merged tree: ${name}`, { skip }, async (t) => {
    const rig = await DeskRig.open(t, stock)
    await rig.mount()
    rig.sh(script)
    const merged = await rig.merged()
    await rig.unmount()
    sameTrees(await rig.built(), merged, 'built')
    const status = execFileSync('git', ['status', '--porcelain'], { cwd: rig.folder, encoding: 'utf8' })
    rig.commit()
    sameTrees(await rig.built(), merged, `built after the commit of ${status}`)
    await rig.mount()
    sameTrees(await rig.merged(), merged, 'mounted again')
    await rig.unmount()
    assert.equal(execFileSync('git', ['status', '--porcelain'], { cwd: rig.folder, encoding: 'utf8' }), '')
  })
}
