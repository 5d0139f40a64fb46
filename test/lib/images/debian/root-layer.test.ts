import assert from 'node:assert/strict'
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, describe, it } from 'node:test'
import { compareEntries, type LayerInput, readLayer, writeLayer } from '../../../../lib/formats/layer.ts'
import { isLeftover } from '../../../../lib/images/debian/configuration.ts'
import { folderEntries, linkEntry, textEntry } from '../../../../lib/images/debian/entries.ts'
import type { DebianLock } from '../../../../lib/images/debian/lock.ts'
import { writeRootLayer } from '../../../../lib/images/debian/root-layer.ts'

const epoch = 1_700_000_000
const identity = { hostname: 'otter', diskId: '0badcafe' }
const locked = (name: string, version: string): DebianLock['packages'][number] => ({
  ...{
    name,
    version,
    architecture: 'all',
    sha256: '0'.repeat(64),
    size: 1,
    filename: `pool/main/${name}.deb`,
  },
})
const lock: DebianLock = {
  ...{
    format: 1,
    mirror: 'http://deb.debian.org/debian',
    suites: ['bookworm'],
    architecture: 'amd64',
    published: epoch,
  },
  ...{ requested: [], packages: [locked('base-files', '12.4')], bootloader: [locked('syslinux', '3')] },
}
const status = (version: string): string =>
  `Package: base-files\nStatus: install ok installed\nMaintainer: A <a@example.org>\nArchitecture: all\nVersion: ${version}\nDescription: x\n`

describe('the layer of the Debian root', () => {
  const tmp = mkdtempSync(join(tmpdir(), 'fleetsie-test-root-'))
  after(() => rmSync(tmp, { recursive: true, force: true }))

  const write = async (
    files: Record<string, string>,
  ): Promise<Map<string, { type: string; content: string; seconds: number }>> => {
    const entries: LayerInput[] = [...folderEntries(Object.keys(files)), linkEntry('bin', 'usr/bin')]
    for (const [path, content] of Object.entries(files)) entries.push(textEntry(path, content))
    const tar = join(tmp, 'system.tar')
    const sorted = entries.sort((a, b) => compareEntries(a.entry, b.entry))
    await pipeline(Readable.from(writeLayer(sorted)), createWriteStream(tar))
    const target = join(tmp, 'layer.tar')
    const boot = await writeRootLayer(tar, target, { lock, identity, folder: tmp, epoch })
    assert.equal(readFileSync(boot.kernel, 'utf8'), files['boot/vmlinuz-6.1'])
    assert.equal(readFileSync(boot.initramfs, 'utf8'), files['boot/initrd.img-6.1'])
    const found = new Map<string, { type: string; content: string; seconds: number }>()
    for await (const { entry, content } of readLayer(createReadStream(target))) {
      const pieces: Buffer[] = []
      for await (const piece of content) pieces.push(piece)
      const seconds = 'mtime' in entry ? entry.mtime.seconds : 0
      found.set(entry.path, { type: entry.type, content: Buffer.concat(pieces).toString(), seconds })
    }
    return found
  }
  const system = {
    'boot/vmlinuz-6.1': 'kernel',
    'boot/initrd.img-6.1': 'initramfs',
    'var/lib/dpkg/status': status('12.4'),
    'etc/fstab': '# UNCONFIGURED\n',
    'etc/ssh/ssh_host_rsa_key': 'secret',
    'etc/ssh/sshd_config': 'UsePAM yes\n',
    'usr/bin/true': 'true',
  }

  it('keeps the system, takes its leftovers away and puts its own files in', async () => {
    const found = await write(system)
    assert.equal(found.get('usr/bin/true')?.content, 'true')
    assert.equal(found.get('etc/ssh/sshd_config')?.content, 'UsePAM yes\n')
    assert.equal(found.has('etc/ssh/ssh_host_rsa_key'), false)
    assert.match(found.get('etc/fstab')?.content ?? '', /^PARTUUID=0badcafe-02 {2}\/ /)
    assert.equal(found.get('etc/hostname')?.content, 'otter\n')
    assert.equal(found.get('etc/machine-id')?.content, '')
    assert.equal(found.get('etc/resolv.conf')?.type, 'symlink')
    // Without it the initramfs has no place to move the devices to, and there is no console.
    assert.equal(found.get('dev')?.type, 'directory')
    assert.equal(found.get('boot/firmware')?.type, 'directory')
    assert.equal(found.get('etc/hostname')?.seconds, epoch)
  })

  it('refuses a system that is not what the lock says', async () => {
    await assert.rejects(write({ ...system, 'var/lib/dpkg/status': status('12.5') }), {
      code: 'E_INPUT',
      message: /does not hold together: base-files/,
    })
    const more = `${status('12.4')}\n${status('1').replace('base-files', 'surprise')}`
    await assert.rejects(write({ ...system, 'var/lib/dpkg/status': more }), {
      code: 'E_INPUT',
      message: /surprise/,
    })
  })

  it('refuses a system without a kernel', async () => {
    const { 'boot/vmlinuz-6.1': _, ...without } = system
    await assert.rejects(write(without as typeof system), { code: 'E_INPUT', message: /no bootable system/ })
  })

  for (const [path, gone] of [
    ['etc/ssh/ssh_host_ed25519_key.pub', true],
    ['etc/passwd-', true],
    ['etc/passwd', false],
    ['etc/apt/apt.conf.d/99mmdebstrap', true],
    ['etc/apt/apt.conf.d/01autoremove', false],
    ['var/log/dpkg.log', true],
    ['var/log/wtmp', false],
    ['var/log/apt/term.log', true],
    ['var/lib/dpkg/status-old', true],
    ['var/lib/dpkg/status', false],
    ['var/cache/ldconfig/aux-cache', true],
    ['var/cache/apt/pkgcache.bin', true],
    ['var/lib/apt/lists/lock', true],
    ['tmp/x', true],
    ['tmp', false],
    ['run/lock', true],
    ['usr/lib/x/__pycache__/y.pyc', true],
  ] as const) {
    it(`${gone ? 'takes away' : 'keeps'} ${path}`, () => assert.equal(isLeftover(path), gone))
  }
})
