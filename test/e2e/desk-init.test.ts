/** What `init` and `mount` take and refuse, on the small image: containers, URLs, files in the way, no room, sudo. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { copyFile, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { DeskRig, deskCode } from '../helpers/desk.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { checkout } from '../helpers/npm-project.ts'

const root = process.getuid?.() === 0
const tools = needs(
  'xz',
  'gzip',
  'zstd',
  'git',
  'python3',
  ...(root ? ['mount'] : ['fuse2fs', 'fuse-overlayfs']),
)
const nobody = 65_534

describe('init and mount', { skip: tools }, () => {
  let rig: DeskRig
  let code: Awaited<ReturnType<typeof deskCode>>
  let raw: Buffer
  let desks = 0
  /** A new folder, and the name to give to `works` for it. */
  const desk = async (): Promise<string> => {
    const name = `desk-${desks++}`
    await rig.makeFolder(name)
    return name
  }

  before(async () => {
    code = await deskCode()
    rig = await DeskRig.make({ code: code.code })
    await copyFile(join(checkout, 'fixtures/sample.img.xz'), rig.at('os.img.xz'))
    await rig.works('xz -dk os.img.xz && gzip -k os.img && zstd -q os.img', '.')
    await rig.works("python3 -c \"import zipfile; zipfile.ZipFile('os.zip', 'w', 8).write('os.img')\"", '.')
    raw = readFileSync(rig.at('os.img'))
  })
  after(async () => {
    await rig?.remove()
    await code?.remove()
  })

  for (const name of ['os.img.xz', 'os.img.gz', 'os.img.zst', 'os.zip', 'os.img']) {
    it(`takes ${name}`, async () => {
      const at = await desk()
      await rig.works(`fleetsie_mod init ../${name}`, at)
      assert.ok(raw.equals(readFileSync(rig.at(at, 'os.img'))))
      assert.ok(existsSync(rig.at(at, 'part_2/etc')))
      await rig.works('fleetsie_mod unmount', at)
    })
  }

  it('takes a raw image that is here already, and one that nobody has brought by init', async () => {
    const at = await desk()
    await copyFile(rig.at('os.img'), rig.at(at, 'os.img'))
    await rig.works('fleetsie_mod init os.img && fleetsie_mod unmount', at)
    await copyFile(rig.at('os.img'), rig.at(at, 'mine.img'))
    await rig.works('fleetsie_mod mount mine.img && echo edit >part_2/etc/edit && fleetsie_mod save', at)
    assert.equal(readlinkSync(rig.at(at, '.image')), 'mine.img')
    await rig.works('fleetsie_mod save && fleetsie_mod unmount && xz -t mine_fleetsie.img.xz', at)
    await rig.works('fleetsie_mod mount os.img && grep -q edit part_2/etc/edit && fleetsie_mod unmount', at)
    await rig.fails('fleetsie_mod mount other.img', 1, /no such image here/, at)
    await rig.fails('fleetsie_mod mount ../os.img', 1, /in the folder that it is in/, at)
  })

  it('refuses what is no image in the words of the document', async () => {
    const at = await desk()
    await writeFile(rig.at('notes.txt'), 'text\n')
    await rig.fails(
      'fleetsie_mod init ../notes.txt',
      1,
      /this doesn't look like an xz-compressed image file: it is text/,
      at,
    )
    await rig.fails('fleetsie_mod init ../missing.img.xz', 1, /no such file/, at)
    await copyFile(rig.at('os.img.xz'), rig.at('cut.img.xz'))
    await truncate(rig.at('cut.img.xz'), 100_000)
    await rig.fails('fleetsie_mod init ../cut.img.xz', 6, /cut\.img\.xz/, at)
    assert.deepEqual(
      readdirSync(rig.at(at)).filter((name) => name !== '.desk'),
      [],
    )
  })

  it('never overwrites another OSNAME.img, and keeps the same one', async () => {
    const at = await desk()
    await writeFile(rig.at(at, 'os.img'), 'precious')
    await rig.fails(
      'fleetsie_mod init ../os.img.xz',
      2,
      /os\.img: this is there already and holds something else/,
      at,
    )
    assert.equal(readFileSync(rig.at(at, 'os.img'), 'utf8'), 'precious')
    await copyFile(rig.at('os.img'), rig.at(at, 'os.img'))
    const { ino } = statSync(rig.at(at, 'os.img'))
    assert.match(await rig.works('fleetsie_mod init ../os.img.xz', at), /was here already/)
    assert.equal(statSync(rig.at(at, 'os.img')).ino, ino)
    await rig.works('fleetsie_mod unmount', at)
  })

  it('begins where a killed one ended: what was half copied goes', async () => {
    const at = await desk()
    // No process ever has this number.
    const gone = 999_999_999
    await writeFile(rig.at(at, `.fleetsie-${gone}-00000000.part`), 'half an image')
    await rig.works('fleetsie_mod init ../os.img.xz && fleetsie_mod unmount', at)
    assert.deepEqual(
      readdirSync(rig.at(at)).filter((name) => name.endsWith('.part')),
      [],
    )
  })

  it('takes a URL with its sum, and prints the commands when that is missing', async () => {
    const bytes = readFileSync(rig.at('os.img.xz'))
    const server = createServer((_request, response) => response.end(bytes)).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/web.img.xz`
    const sum = createHash('sha256').update(bytes).digest('hex')
    try {
      const at = await desk()
      await rig.fails(
        `fleetsie_mod init ${url}`,
        1,
        new RegExp(`needs its sha256[\\s\\S]*init ${url} --sha256`),
        at,
      )
      await rig.fails(`fleetsie_mod init ${url} --sha256 ${'0'.repeat(64)}`, 5, /sha256/, at)
      await rig.works(`fleetsie_mod init ${url} --sha256 ${sum} && fleetsie_mod unmount`, at)
      assert.ok(raw.equals(readFileSync(rig.at(at, 'web.img'))))
    } finally {
      server.close()
    }
  })

  it('says that there is no room before it copies', { skip: needsRoot }, async () => {
    const at = await desk()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', rig.at(at)])
    try {
      await rig.fails('fleetsie_mod init ../os.img.xz', 8, /takes up to .* only .* are free here/, at)
      assert.deepEqual(
        readdirSync(rig.at(at)).filter((name) => name !== '.desk'),
        [],
      )
    } finally {
      execFileSync('umount', [rig.at(at)])
    }
  })

  it('under sudo makes files that are the caller’s', { skip: needsRoot }, async () => {
    const at = await desk()
    execFileSync('chown', [`${nobody}:${nobody}`, rig.at(at), rig.store])
    const sudo = `SUDO_UID=${nobody} SUDO_GID=${nobody}`
    await rig.works(
      `export ${sudo}; fleetsie_mod init ../os.img.xz && echo edit >part_2/etc/edit && fleetsie_mod save`,
      at,
    )
    await rig.works(`${sudo} fleetsie_mod unmount`, at)
    const others: string[] = []
    const look = (path: string): void => {
      const stats = lstatSync(path)
      // What .new_N holds has the owners of the image.
      if (stats.uid !== nobody) others.push(path)
      if (stats.isDirectory()) for (const name of readdirSync(path)) look(join(path, name))
    }
    for (const name of readdirSync(rig.at(at))) if (!name.startsWith('.new_')) look(rig.at(at, name))
    assert.deepEqual(others, [])
    const user = `setpriv --reuid=${nobody} --regid=${nobody} --clear-groups`
    await rig.fails(`${user} fleetsie_mod mount`, 7, /root has worked at this desk[\s\S]*sudo rm -r/, at)
    await rig.works('rm -r .new_*', at)
    const mounted = `fleetsie_mod mount && grep -q edit part_2/etc/edit && fleetsie_mod unmount`
    await rig.works(`${user} sh -c '${mounted}'`, at)
    await rig.works(`export ${sudo}; ${mounted}`, at)
    execFileSync('chown', ['-R', '0:0', rig.store])
  })

  it('says what is wrong with `.image`', async () => {
    const at = await desk()
    await rig.works('ln -s gone.img .image', at)
    await rig.fails('fleetsie_mod mount', 1, /leads to gone\.img, which is not there/, at)
    await rig.works('rm .image && ln -s /etc/passwd .image', at)
    await rig.fails('fleetsie_mod mount', 1, /not in this folder/, at)
  })

  it('unmounts when the image has gone, and the next mount has what was changed', async () => {
    const at = await desk()
    await rig.works('fleetsie_mod init ../os.img.xz && echo edit >part_2/etc/edit && mv os.img gone.img', at)
    await rig.fails('fleetsie_mod status', 1, /leads to os\.img, which is not there/, at)
    await rig.works('fleetsie_mod unmount', at)
    assert.deepEqual(await rig.mounts(), [])
    await rig.fails('fleetsie_mod unmount', 1, /leads to os\.img, which is not there/, at)
    await rig.works('fleetsie_mod init ../os.img.xz && grep edit part_2/etc/edit && fleetsie_mod unmount', at)
  })

  it('says so when .new_2 was moved away, and has it again when it is back', async () => {
    const at = await desk()
    await rig.works('fleetsie_mod init ../os.img.xz && echo edit >part_2/etc/edit && mv .new_2 away', at)
    const { code, stdout, stderr } = await rig.type('fleetsie_mod unmount', at)
    assert.equal(code, 0, stderr)
    assert.match(stdout + stderr, /\.new_2 is gone, and with it what was changed in part_2/)
    await rig.works('mv away .new_2 && fleetsie_mod mount && grep edit part_2/etc/edit', at)
    await rig.works('fleetsie_mod unmount', at)
  })

  it('a damaged image does not become the desk’s, and is left when it is', async () => {
    const at = await desk()
    await rig.works('fleetsie_mod init ../os.img.xz && fleetsie_mod unmount', at)
    await rig.works('head -c 1M os.img >cut.img', at)
    await rig.fails('fleetsie_mod mount cut.img', 6, /past the end/, at)
    assert.equal(readlinkSync(rig.at(at, '.image')), 'os.img')
    await rig.works('ln -sfn cut.img .image && fleetsie_mod mount os.img && fleetsie_mod unmount', at)
  })

  it('a full disk and a read-only one are told, and nothing is lost', { skip: needsRoot }, async () => {
    const at = await desk()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=30m', 'tmpfs', rig.at(at)])
    try {
      await rig.works('fleetsie_mod init ../os.img.xz && echo edit >part_2/etc/edit', at)
      execFileSync('sh', ['-c', 'head -c 30M /dev/zero >part_2/fill || true'], {
        cwd: rig.at(at),
        stdio: 'pipe',
      })
      const noRoom =
        /part_2\/\S+: there is no room for it in overlays[\s\S]*all that was changed is in \.new_2/
      for (const verb of ['save', 'unmount']) await rig.fails(`fleetsie_mod ${verb}`, 8, noRoom, at)
      await rig.works('rm part_2/fill && fleetsie_mod unmount && grep edit overlays/part_2/etc/edit', at)
      execFileSync('mount', ['-o', 'remount,ro', rig.at(at)])
      await rig.fails('fleetsie_mod mount', 8, /is on a filesystem that is read-only[\s\S]*writable/, at)
    } finally {
      execFileSync('umount', ['-R', rig.at(at)])
    }
  })

  it('finds the desk from a folder below it', async () => {
    const at = await desk()
    await rig.works('fleetsie_mod init ../os.img.xz', at)
    assert.match(await rig.works('fleetsie_mod status', `${at}/part_2/etc`), /os\.img/)
    await rig.works('fleetsie_mod unmount', at)
  })
})
