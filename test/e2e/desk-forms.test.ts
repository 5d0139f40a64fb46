/** The same work at a desk of root and at one of a user, on ext4 and on FAT: what comes into overlays/. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { missing, type TestDisk, toolEnvironment } from '../helpers/disks.ts'
import { needsRoot } from '../helpers/needs.ts'
import { outputOf } from '../lib/images/desk/build.ts'
import { asNobody, makeDisk, nobody, TestDesk } from '../lib/images/desk/rig.ts'

const skip =
  needsRoot || missing('fuse2fs', 'fuse-overlayfs', 'fusermount3', 'setpriv', 'mke2fs', 'mcopy', 'setfattr')
const driver = fileURLToPath(new URL('../lib/images/desk/mounting-driver.ts', import.meta.url))

describe('the forms in which a desk is mounted', { skip }, () => {
  let disk: TestDisk
  before(() => {
    disk = makeDisk()
  })
  after(() => disk.remove())

  for (const [who, uid, by] of [
    ['root', 0, []],
    ['a user', nobody, asNobody],
  ] as const) {
    const using = async (
      work: (
        desk: TestDesk,
        act: (verb: string, fails?: RegExp) => string[],
        sh: (script: string) => string,
      ) => Promise<void>,
    ) => {
      const desk = new TestDesk(disk, 'desk', uid)
      const all = [...by, 'env', '-C', desk.folder]
      const act = (verb: string, fails?: RegExp): string[] => {
        const args = [
          ...all,
          process.execPath,
          '--import',
          import.meta.resolve('tsx'),
          driver,
          verb,
          desk.folder,
          desk.disk,
        ]
        let out: string
        try {
          out = execFileSync(args[0]!, args.slice(1), {
            encoding: 'utf8',
            env: toolEnvironment,
            stdio: 'pipe',
          })
        } catch (error) {
          out = (error as { stdout: string }).stdout
          if (out === '') throw error
        }
        const answer = JSON.parse(out)
        if (fails) assert.match(`${answer.error?.code} ${answer.error?.message}`, fails)
        else assert.equal(answer.error, undefined, JSON.stringify(answer))
        return answer.notes
      }
      const sh = (script: string): string => {
        const args = [...all, 'sh', '-euc', script]
        return execFileSync(args[0]!, args.slice(1), {
          encoding: 'utf8',
          env: toolEnvironment,
          stdio: 'pipe',
        })
      }
      try {
        await work(desk, act, sh)
      } finally {
        desk.remove()
      }
    }
    const listed = (desk: TestDesk) =>
      execFileSync('find', ['overlays', '-mindepth', '1', '-printf', '%P %y\n'], {
        cwd: desk.folder,
        encoding: 'utf8',
      })
        .trim()
        .split('\n')
        .sort()

    test(`${who}: edits of each kind come into overlays/ and are there at the next mount`, () =>
      using(async (desk, act, sh) => {
        act('mount')
        sh(`cd part_2; echo edited > etc/hostname; rm etc/deep/file; rmdir etc/deep; mkdir etc/deep; echo n > etc/deep/new
          chmod 640 etc/deep/new; mkfifo -m 600 f; ln -s x l; mkdir -m 700 empty; setfattr -n user.a -v b etc/hostname`)
        sh(
          `cd part_1; echo b > etc/hostname; rm etc/deep/file; echo c > CONFIG.TXT; mkdir new; mv etc/shadow etc/SHADOW; chmod 600 CONFIG.TXT`,
        )
        act('unmount')
        assert.deepEqual(listed(desk), [
          'part_1 d',
          'part_1.mtree f',
          'part_1/CONFIG.TXT f',
          'part_1/etc d',
          'part_1/etc/.wh.shadow f',
          'part_1/etc/SHADOW f',
          'part_1/etc/deep d',
          'part_1/etc/deep/.wh.file f',
          'part_1/etc/hostname f',
          'part_2 d',
          'part_2.mtree f',
          'part_2/etc d',
          'part_2/etc/deep d',
          'part_2/etc/deep/.wh..wh..opq f',
          'part_2/etc/deep/new f',
          'part_2/etc/hostname f',
          'part_2/l l',
        ])
        assert.equal(desk.read('overlays/part_1.mtree'), './new type=dir\n')
        const lines = desk.read('overlays/part_2.mtree')
        assert.equal(
          lines,
          './empty type=dir mode=0700\n./etc/deep/new mode=0640\n./etc/hostname xattr.user.a=Yg==\n./f type=fifo mode=0600\n',
        )
        assert.equal(lstatSync(desk.path('overlays/part_2/etc/hostname')).uid, uid)
        act('mount')
        const look =
          'cat part_2/etc/hostname part_2/etc/deep/new part_1/CONFIG.TXT part_1/etc/SHADOW; ls part_2/etc/deep part_1/etc; stat -c "%a %F" part_2/empty part_2/f part_2/l part_1/new'
        const seen = sh(look)
        assert.match(
          seen,
          /^edited\nn\nc\nroot.*\npart_1\/etc:\nSHADOW\ndeep\nhostname\n\npart_2\/etc\/deep:\nnew\n700 directory\n600 fifo\n/s,
        )
        act('unmount')
        const { layer, remove } = await outputOf(desk.folder, 2)
        assert.ok(layer)
        await remove()
      }))

    test(`${who}: owners and devices that part_N.mtree declares stay, and are in the image`, () =>
      using(async (desk, act, sh) => {
        mkdirSync(desk.path('overlays/part_2/etc'), { recursive: true })
        writeFileSync(desk.path('overlays/part_2/etc/own'), '1\n')
        writeFileSync(desk.path('overlays/part_2/etc/other'), '1\n')
        const before =
          './dev/spare type=char mode=0666 device=native,1,3\n./etc/other uid=3\n./etc/own uid=5 gid=6 mode=0640 xattr.security.capability=AQAAAgAgAAAAAAAAAAAAAAAAAAA=\n'
        writeFileSync(desk.path('overlays/part_2.mtree'), before)
        execFileSync('chown', ['-R', `${uid}:${uid}`, desk.path('overlays')])
        act('mount')
        sh(
          'cd part_2; stat -c %a etc/own; cat etc/own >> etc/other; chmod 600 etc/shadow; echo x >> etc/shadow; echo n > etc/new',
        )
        act('unmount')
        assert.equal(desk.read('overlays/part_2.mtree'), `${before}./etc/shadow mode=0600\n`)
        act('mount')
        sh('cd part_2; chmod 644 etc/own')
        act('unmount')
        const after = before.replace('gid=6 mode=0640', 'gid=6')
        assert.equal(
          desk.read('overlays/part_2.mtree').replace(/ xattr\.sec\S*/, ''),
          `${after.replace(/ xattr\.sec\S*/, '')}./etc/shadow mode=0600\n`,
        )
        assert.deepEqual(readFileSync(desk.path('overlays/part_2/etc/other'), 'utf8'), '1\n1\n')
      }))

    test(`${who}: what FAT cannot hold is refused by name`, () =>
      using(async (desk, act, sh) => {
        act('mount')
        sh('cd part_1; ln -s x link; echo 1 > fine')
        act('take', /E_INPUT "part_1\/link" cannot be taken into overlays\/: it is a symlink, which a FAT/)
        assert.equal(desk.read('overlays/part_1/fine'), '1\n')
        sh('rm part_1/link; echo 2 > part_1/ETC')
        act('take', /E_INPUT "part_1\/ETC".*on FAT it is the same name as "etc"/)
        sh('rm part_1/ETC')
        act('unmount')
      }))
  }
})
