/** The closure that a fleet's server gets: what is in it, that it runs, and that whoever makes it makes the same bytes. */
import assert from 'node:assert/strict'
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { type Architecture, type Closure, readClosure } from '../../lib/fleet/bundle/listing.ts'
import { tool } from '../helpers/disks.ts'
import { needs } from '../helpers/needs.ts'
import { withServerClosure } from '../helpers/server-closure.ts'

/** e_machine of an ELF file, at byte 18: EM_X86_64 and EM_AARCH64. */
const machines: Record<Architecture, number> = { x64: 62, arm64: 183 }
const own = process.arch as Architecture
const folder = mkdtempSync(join(tmpdir(), 'fleetsie-closure-'))

interface Unpacked {
  root: string
  closure: Closure
  /** `tar -tv`. */
  list: string
}

async function unpacked(architecture: Architecture): Promise<Unpacked> {
  return withServerClosure(architecture, async (from) => {
    const closure = await readClosure(from)
    const tar = join(from, 'closure.tar')
    assert.equal(closure.digest, createHash('sha256').update(readFileSync(tar)).digest('hex'))
    assert.equal(closure.size, statSync(tar).size)
    assert.equal(closure.architecture, architecture)
    const root = join(folder, architecture)
    tool('mkdir', [root])
    tool('tar', ['-xpf', tar, '-C', root])
    return { root, closure, list: tool('tar', ['--numeric-owner', '-tvf', tar]) }
  })
}

function machineOf(file: string): number {
  const header = Buffer.alloc(20)
  const fd = openSync(file, 'r')
  readSync(fd, header)
  closeSync(fd)
  assert.equal(header.toString('latin1', 0, 4), '\x7fELF')
  return header.readUInt16LE(18)
}

describe('the closure of a fleet server', { skip: needs('tar') }, () => {
  const trees = new Map<Architecture, Unpacked>()
  before(async () => {
    for (const architecture of ['x64', 'arm64'] as const) {
      trees.set(architecture, await unpacked(architecture))
    }
  })
  after(() => removeTree(folder))

  for (const architecture of ['x64', 'arm64'] as const) {
    test(`for ${architecture} holds the files of its list, root's and read-only`, () => {
      const { root, closure, list } = trees.get(architecture)!
      const names = tool('find', [root, '-type', 'f', '-printf', '%P\\n']).trim().split('\n').sort()
      assert.deepEqual(closure.files.map(({ path }) => path).sort(), names)
      for (const { path, mode, size, sha256 } of closure.files) {
        const file = join(root, path)
        assert.equal(createHash('sha256').update(readFileSync(file)).digest('hex'), sha256, path)
        assert.deepEqual(
          [statSync(file).size, statSync(file).mode & 0o7777],
          [size, Number.parseInt(mode, 8)],
        )
      }
      for (const line of list.trim().split('\n')) assert.match(line, /^[d-]r-[x-]r-[x-]r-[x-] 0\/0 /)
    })

    test(`for ${architecture} has binaries for that machine alone`, () => {
      const { root, closure } = trees.get(architecture)!
      const binaries = closure.files.filter(({ path }) => /\.node$|^bin\/node$/.test(path))
      assert.equal(binaries.length, 2)
      for (const { path } of binaries) assert.equal(machineOf(join(root, path)), machines[architecture], path)
    })
  }

  const start = (
    program: string,
    input: string,
    env: Record<string, string> = {},
    args: string[] = [],
  ): SpawnSyncReturns<string> =>
    spawnSync(program, args, { input, encoding: 'utf8', env: { ...process.env, ...env } })

  test('answers on this machine, started by a link and whatever the environment tells Node', () => {
    const link = join(folder, 'current')
    symlinkSync(join(folder, own), link)
    symlinkSync(join(link, 'fleetsie_gen_srv'), join(folder, 'fleetsie_gen_srv'))
    const env = { NODE_OPTIONS: '--no-such-option', NODE_PATH: '/nowhere', HOME: folder }
    const { status, stdout, stderr } = start(join(folder, 'fleetsie_gen_srv'), '{ "do": "nonsense" }', env)
    assert.equal(status, 1, stdout + stderr)
    assert.match((JSON.parse(stdout) as { error: { code: string } }).error.code, /^E_/)
  })

  test('answers a device that sends nonsense', () => {
    const { status, stdout } = start(join(folder, own, 'fleetsie_auth'), 'nonsense\n\n', {}, ['demo'])
    assert.equal(status, 0)
    assert.match(stdout, /^Error\n/)
  })

  test('has a database that works', () => {
    const script = 'console.log(require("better-sqlite3")(":memory:").prepare("SELECT 6 * 7 n").get().n)'
    const { stdout, stderr } = spawnSync(join(folder, own, 'bin/node'), ['-e', script], {
      cwd: join(folder, own),
      encoding: 'utf8',
    })
    assert.equal(stdout, '42\n', stderr)
  })
})
