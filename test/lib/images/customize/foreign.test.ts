import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { architectureOf } from '../../../../lib/images/customize/architecture.ts'
import { emulatorFor } from '../../../../lib/images/customize/emulator.ts'
import { ExtReader } from '../../../../lib/images/ext/reader.ts'
import { withWindow } from '../../../../lib/images/window.ts'
import { file } from '../../../helpers/layers.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { Rig } from './rig.ts'

const aarch64 = { name: 'aarch64', native: ['arm64'], elfClass: 2, machine: 183 } as const

/** A static program for aarch64: mkdirat(AT_FDCWD, "/foreign", 0755), then exit(0). */
function makesFolder(): Buffer {
  const code = Buffer.alloc(32)
  const instructions = [
    0x92800c60, // movn x0, #99
    0x100000e1, // adr x1, the name
    0xd2803da2, // movz x2, #0755
    0xd2800448, // movz x8, #34
    0xd4000001, // svc #0
    0xd2800000, // movz x0, #0
    0xd2800ba8, // movz x8, #93
    0xd4000001, // svc #0
  ]
  for (const [index, instruction] of instructions.entries()) code.writeUInt32LE(instruction, index * 4)
  const body = Buffer.concat([code, Buffer.from('/foreign\0')])
  const header = Buffer.alloc(64 + 56)
  const base = 0x400000n
  const size = BigInt(header.length + body.length)
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(header)
  header.writeUInt16LE(2, 16)
  header.writeUInt16LE(183, 18)
  header.writeUInt32LE(1, 20)
  header.writeBigUInt64LE(base + BigInt(header.length), 24)
  header.writeBigUInt64LE(64n, 32)
  header.writeUInt16LE(64, 52)
  header.writeUInt16LE(56, 54)
  header.writeUInt16LE(1, 56)
  header.writeUInt16LE(64, 58)
  // One segment: all of the file, to be read and run.
  header.writeUInt32LE(1, 64)
  header.writeUInt32LE(5, 68)
  header.writeBigUInt64LE(base, 80)
  header.writeBigUInt64LE(base, 88)
  header.writeBigUInt64LE(size, 96)
  header.writeBigUInt64LE(size, 104)
  header.writeBigUInt64LE(0x10000n, 112)
  return Buffer.concat([header, body])
}

const hostEntry = '/proc/sys/fs/binfmt_misc/qemu-aarch64'
function oldKernel(): string | false {
  const [major = 0, minor = 0] = readFileSync('/proc/sys/kernel/osrelease', 'utf8').split('.').map(Number)
  return major < 6 || (major === 6 && minor < 7) ? 'needs Linux 6.7' : false
}

let rig: Rig
before(async () => {
  rig = await Rig.open()
})
after(() => rig.remove())

describe('an image for another processor', () => {
  it('is known by its shell', async () => {
    const found = await withWindow(
      `${rig.folder}/image/disk.img`,
      { offset: 44 << 20, size: 84 << 20 },
      'r',
      (window) => architectureOf(new ExtReader(window)),
    )
    assert.equal(found.name, 'x86_64')
  })

  it('runs by qemu, and the host is told nothing of it', {
    skip:
      needsRoot ||
      needs('qemu-aarch64-static', 'unshare', 'debugfs') ||
      oldKernel() ||
      (process.arch === 'arm64' && 'is at home here'),
  }, async () => {
    const before = existsSync(hostEntry)
    const layers = [await rig.layer('foreign', [file('usr/bin/busybox', makesFolder(), { mode: 0o755 })])]
    const outcome = await rig.run({ layers, script: await rig.write('script', 'not read by this shell\n') })
    const made = outcome.layers.get('part_2.tar')?.get('foreign')
    assert.ok(made?.type === 'directory' && made.mode === 0o755)
    assert.deepEqual(outcome.record.notes, ['programs for aarch64 run by qemu'])
    assert.equal(existsSync(hostEntry), before)
  })

  it('needs qemu, and the error names the package', () => {
    const path = process.env['PATH']
    assert.throws(() => emulatorFor({ ...aarch64, name: 'nowhere' }, 'x64'), {
      code: 'E_TOOL',
      hint: /qemu-user-static/,
    })
    assert.equal(process.env['PATH'], path)
  })

  it('runs without qemu on its own kind', () => {
    assert.equal(emulatorFor(aarch64, 'arm64'), undefined)
  })

  it('is registered for all its programs and no others', { skip: needs('qemu-aarch64-static') }, () => {
    const line = emulatorFor(aarch64, 'x64')!.registration
    const [, , , , magic = '', mask = '', interpreter, flags] = line.split(':')
    const bytes = (text: string): number[] =>
      text
        .split('\\x')
        .slice(1)
        .map((hex) => Number.parseInt(hex, 16))
    const matches = (elf: Buffer): boolean =>
      bytes(magic).every((byte, at) => (byte & bytes(mask)[at]!) === (elf[at]! & bytes(mask)[at]!))
    assert.match(interpreter!, /\/qemu-aarch64-static$/)
    assert.ok(flags?.includes('F'))
    assert.ok(matches(makesFolder()))
    const independent = Buffer.from(makesFolder())
    independent[16] = 3
    assert.ok(matches(independent))
    assert.ok(!matches(readFileSync(process.execPath)) || process.arch === 'arm64')
  })
})
