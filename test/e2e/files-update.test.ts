/** `updatesd --files` on cards that were used: what the kernel changed, updates that are killed, and loop devices. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { updateFiles } from '../../lib/images/files-update/update-files.ts'
import { applyValues } from '../../lib/images/values/apply-values.ts'
import { volumesOnCard } from '../../lib/images/values/card-volumes.ts'
import { claimedIdentity } from '../../lib/images/values/claimed-identity.ts'
import { readSets, valuesOfSets } from '../../lib/images/values/sets.ts'
import { missing, tool } from '../helpers/disks.ts'
import { needsRoot } from '../helpers/needs.ts'
import { dead } from '../helpers/processes.ts'
import { Random } from '../helpers/random.ts'
import { debianFiles, RootDisk } from '../helpers/root-disks.ts'

const skip =
  needsRoot || missing('losetup', 'mount', 'debugfs', 'mke2fs', 'e2fsck', 'mkfs.fat', 'diff', 'setfattr')
const disks: RootDisk[] = []
after(() => {
  for (const disk of disks) disk.remove()
})

async function make(files: Record<string, string>): Promise<RootDisk> {
  const disk = await RootDisk.make(files)
  disks.push(disk)
  return disk
}

const random = new Random('files')
const texts = (count: number, folder: string): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [
      `opt/${folder}/${i % 7}/file ${i}`,
      `${i} `.repeat(random.int(1, random.chance(0.1) ? 20_000 : 400)),
    ]),
  )

/** Mounts the root filesystem by the kernel. */
function mounted<T>(disk: RootDisk, options: string, work: (folder: string) => T): T {
  const { offset } = disk.volumes[1]!.partition
  const folder = join(disk.folder, 'mount')
  mkdirSync(folder, { recursive: true })
  tool('mount', ['-o', `loop,offset=${offset}${options}`, disk.path, folder])
  try {
    return work(folder)
  } finally {
    tool('umount', [folder])
  }
}

/** A device's life, by the kernel. */
function live(disk: RootDisk): void {
  mounted(disk, '', (root) => {
    const write = (path: string, content: string): void => {
      mkdirSync(join(root, path, '..'), { recursive: true })
      writeFileSync(join(root, path), content)
    }
    write('etc/hostname', 'lake-3\n')
    write('etc/machine-id', '0123456789abcdef0123456789abcdef\n')
    write('etc/ssh/ssh_host_ed25519_key', 'HOST KEY\n')
    for (let i = 0; i < 300; i++) write(`data/${i % 10}/${i}`, 'measured '.repeat(random.int(1, 300)))
    for (let i = 0; i < 60; i++) write(`opt/both/${i % 7}/file ${i}`, 'changed on the device\n')
    rmSync(join(root, 'opt/both/3'), { recursive: true })
    tool('chmod', ['4700', join(root, 'opt/both/1/file 64')])
    tool('chown', ['33:33', join(root, 'opt/both/1/file 71')])
    tool('setfattr', ['-n', 'user.note', '-v', 'mine', join(root, 'opt/both/1/file 78')])
    tool('ln', [join(root, 'data/0/0'), join(root, 'data/hard')])
    tool('mknod', [join(root, 'data/null'), 'c', '1', '3'])
  })
}

/** Every file with all that is said of it, but times; the kernel reads it. */
function listing(disk: RootDisk): string {
  return mounted(disk, ',ro', (root) =>
    tool('sh', [
      '-c',
      'cd "$1" && find . -path ./lost+found -prune -o -printf "%p %y %m %U:%G %l %n\\n" | sort && ' +
        'find . -path ./lost+found -prune -o -type f -print0 | sort -z | xargs -0 sha256sum && ' +
        'getfattr -R -h -d -m - . 2>/dev/null | sort; :',
      'sh',
      root,
    ]),
  )
}

/** Node's arguments that update the card in a process of its own. */
function program(card: RootDisk, image: string, ...stock: string[]): string[] {
  const loader = pathToFileURL(join(process.cwd(), 'node_modules/tsx/dist/loader.mjs')).href
  const module = (name: string): string => JSON.stringify(new URL(`../../lib/${name}`, import.meta.url).href)
  const folder = JSON.stringify(card.folder)
  const code = `
    import { runner } from ${module('engine/process.ts')}
    import { updateFiles } from ${module('images/files-update/update-files.ts')}
    import { volumesOnCard } from ${module('images/values/card-volumes.ts')}
    const [card, image, stock] = await Promise.all(process.argv.slice(1).map((path) => volumesOnCard(path)))
    process.stdout.write('ready ')
    const note = (line) => process.stdout.write(line)
    const run = runner({ home: ${folder} })
    await updateFiles({ run, card, image, ...(stock ? { stock } : {}), tmp: ${folder}, note })`
  return ['--import', loader, '--input-type=module', '--eval', code, card.path, image, ...stock]
}

for (const user of ['root', 'nobody']) {
  test(`a card that ${user} updates, which the kernel changed and whose journal is full, has the image's files`, {
    skip: skip || missing('setpriv'),
    timeout: 120_000,
  }, async () => {
    const [card, image] = [
      await make({ ...debianFiles, ...texts(400, 'both') }),
      await make({ ...debianFiles, ...texts(400, 'both') }),
    ]
    live(card)
    // As if the power had gone: the file is copied while it is mounted.
    const cut = join(card.folder, 'cut')
    mounted(card, '', (root) => {
      writeFileSync(join(root, 'opt/both/1/file 85'), 'written last\n')
      tool('sync', ['-f', root])
      copyFileSync(card.path, cut)
    })
    copyFileSync(cut, card.path)
    assert.match(tool('dumpe2fs', ['-h', card.ext]), /needs_recovery/)
    const by = user === 'root' ? [] : ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    if (user !== 'root') {
      for (const { folder } of [card, image]) tool('chown', ['-R', '65534:65534', folder])
    }
    const [command = '', ...args] = [...by, process.execPath, ...program(card, image.path)]
    const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    assert.match(stdout, /journal/)
    card.assertSound()
    assert.equal((await claimedIdentity(card.volumes))?.hostname, 'lake-3')
    const lines = (disk: RootDisk): string[] =>
      listing(disk)
        .split('\n')
        .filter((line) => line.includes('./opt/'))
    assert.deepEqual(lines(card), lines(image))
    assert.match(listing(card), /data\/null c 644 0:0/)
  })
}

test('thirty updates killed at any moment: a repeat gives the right card', {
  skip,
  timeout: 900_000,
}, async () => {
  const stock = await make({ ...debianFiles, ...texts(250, 'both'), ...texts(150, 'old') })
  const image = await make({ ...debianFiles, ...texts(250, 'both'), ...texts(150, 'new') })
  const card = await make({ ...debianFiles, ...texts(250, 'both'), ...texts(150, 'old') })
  live(card)
  const before = join(card.folder, 'before')
  copyFileSync(card.path, before)
  const options = {
    run: card.run,
    card: card.volumes,
    image: image.volumes,
    stock: stock.volumes,
    tmp: card.folder,
  }
  const started = Date.now()
  await updateFiles(options)
  let whole = Date.now() - started
  const wanted = listing(card)
  assert.match(wanted, /opt\/new/)
  assert.doesNotMatch(wanted, /opt\/old/)

  const script = program(card, image.path, stock.path)
  let interrupted = 0
  let amid = 0
  for (let round = 0; round < 30; round++) {
    copyFileSync(before, card.path)
    // Twice, so that the repair is interrupted as well.
    for (let attempt = 0; attempt < 2; attempt++) {
      const child = spawn(process.execPath, script, { stdio: ['ignore', 'pipe', 'inherit'] })
      const ended = once(child, 'exit')
      await once(child.stdout, 'data')
      const began = Date.now()
      if (random.chance(0.5)) {
        await Promise.race([ended, setTimeout(random.int(0, whole))])
      } else {
        // Most of the time goes into comparing: this hits what writes.
        while (child.exitCode === null && !childrenOf(child.pid!, 'debugfs').length) await setTimeout(1)
        await setTimeout(random.int(0, 30))
        if (childrenOf(child.pid!, 'debugfs').length > 0) amid++
      }
      // debugfs runs in a group of its own, which dies with a machine, though not with its parent: who starts no more.
      child.kill('SIGSTOP')
      for (const pid of childrenOf(child.pid!)) {
        spawnSync('kill', ['-9', `${pid}`])
        await dead(pid)
      }
      child.kill('SIGKILL')
      await ended
      if (child.signalCode) interrupted++
      // The machine has less other work to do by now.
      else whole = Math.min(whole, Date.now() - began)
    }
    await updateFiles(options)
    card.assertSound()
    assert.equal(listing(card), wanted, `round ${round}`)
  }
  assert.ok(interrupted > 20, `${interrupted} were interrupted`)
  assert.ok(amid > 0, 'some while debugfs wrote')
})

function childrenOf(pid: number, command?: string): number[] {
  const { stdout } = spawnSync('ps', ['-o', 'pid=,comm=', '--ppid', `${pid}`], { encoding: 'utf8' })
  return stdout.split('\n').flatMap((line) => {
    const [id, name] = line.trim().split(/\s+/)
    return id && (command === undefined || name === command) ? [Number(id)] : []
  })
}

test('values and files on a loop device, as on a card', { skip }, async () => {
  const [card, image] = [
    await make({ ...debianFiles, ...texts(50, 'old') }),
    await make({ ...debianFiles, ...texts(50, 'new') }),
  ]
  const device = tool('losetup', ['--find', '--show', card.path]).trim()
  try {
    const volumes = await volumesOnCard(device)
    const sets = await readSets(['hostname=pi-9', 'user=anna'], { cwd: '/', stdin: [] as never })
    const [touched] = await applyValues({ run: card.run, volumes, values: valuesOfSets(sets) })
    assert.equal(touched?.path, device)
    assert.equal((await claimedIdentity(volumes, async () => 'debian'))?.described, '"pi-9"')
    await updateFiles({ run: card.run, card: volumes, image: image.volumes, tmp: card.folder })
    assert.equal((await claimedIdentity(volumes, async () => 'debian'))?.hostname, 'pi-9')
  } finally {
    tool('losetup', ['--detach', device])
  }
  card.assertSound()
  assert.match(listing(card), /opt\/new.*\n/)
  assert.match(card.cat('etc/passwd'), /^anna:/m)
  assert.ok(existsSync(card.path))
})
