import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { diagnose, type Machine, thisMachine } from '../../../lib/cli/doctor.ts'
import { installCommand, missingParts, requirements } from '../../../lib/cli/requirements.ts'

const machine: Machine = {
  nodeVersion: 'v22.23.3',
  databaseProblem: () => undefined,
  path: process.env['PATH'] ?? '',
  uid: 1000,
  user: 'ada',
  read: (file) => (file.startsWith('/etc/') ? 'bob:100000:65536\nada:165536:65536\n' : '1000'),
  canOpen: () => true,
  freeBytes: 100 * 1024 ** 3,
}

function state(name: string, changes: Partial<Machine>): string {
  const found = diagnose({ ...machine, ...changes }).findings.find((finding) => finding.name === name)
  assert.ok(found, `nothing is said of ${name}`)
  return `${found.state} ${found.detail}`
}

describe('doctor', () => {
  const clone = '/proc/sys/kernel/unprivileged_userns_clone'
  const table: [string, string, Partial<Machine>, RegExp][] = [
    ['accepts Node 20.19', 'Node', { nodeVersion: 'v20.19.0' }, /^ok/],
    ['accepts Node 24', 'Node', { nodeVersion: 'v24.0.0' }, /^ok/],
    ['refuses Node 20.18', 'Node', { nodeVersion: 'v20.18.3' }, /^missing .*older than 20.19/],
    [
      'says why the database does not load',
      'better-sqlite3',
      { databaseProblem: () => 'wrong ABI' },
      /^missing .*wrong ABI.*npm rebuild/,
    ],
    ['is content with a range of users', '/etc/subuid', {}, /^ok/],
    ['is content with a range that is given by number', '/etc/subgid', { read: () => '1000:1:65536' }, /^ok/],
    [
      'says how to get a range of users',
      '/etc/subuid',
      { read: () => 'ada:1:1000' },
      /^limited .*usermod --add-subuids/,
    ],
    [
      'says how to get a range of groups',
      '/etc/subgid',
      { read: () => undefined },
      /^limited .*usermod --add-subgids/,
    ],
    ['takes an absent setting for allowed', 'user namespaces', { read: () => undefined }, /^ok/],
    [
      'names the setting that forbids user namespaces',
      'user namespaces',
      { read: (file) => (file === clone ? '0\n' : '1000') },
      /^limited .*unprivileged_userns_clone is 0/,
    ],
    ['is content with root', 'rights', { uid: 0 }, /^ok/],
    ['is content with a large disk', 'disk space', {}, /^ok 100.0 GiB/],
    ['misses /dev/fuse', '/dev/fuse', { canOpen: () => false }, /^limited .*chmod 666/],
    ['remarks on a small disk', 'disk space', { freeBytes: 2 * 1024 ** 3 }, /^note 2.0 GiB/],
    ['refuses a full disk', 'disk space', { freeBytes: 1000 }, /^missing .*fleetsie gc/],
  ]
  for (const [title, name, changes, expected] of table) {
    test(title, () => assert.match(state(name, changes), expected))
  }

  test('asks for no compiler while the database loads', () => {
    const names = (problem: string | undefined) =>
      diagnose({ ...machine, databaseProblem: () => problem }).findings.map((finding) => finding.name)
    assert.ok(!names(undefined).includes('g++'))
    assert.ok(names('wrong ABI').includes('g++'))
  })

  test('looks at this machine', () => {
    const found = diagnose(thisMachine('/nonexistent/store')).findings
    assert.equal(found.find((finding) => finding.name === 'Node')?.state, 'ok')
    assert.equal(found.find((finding) => finding.name === 'better-sqlite3')?.state, 'ok')
  })
})

describe('requirements', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'fleetsie-doctor-'))
    writeFileSync(join(folder, 'made-up-tool'), '#!/bin/sh\n', { mode: 0o755 })
    writeFileSync(join(folder, 'no-program'), '', { mode: 0o644 })
  })
  after(() => rmSync(folder, { recursive: true }))

  test('each names a package once, why it is needed, and something that shows whether it is there', () => {
    const all = requirements()
    assert.equal(new Set(all.map((need) => need.package)).size, all.length)
    for (const need of all) {
      assert.ok(need.tools.length + (need.files?.length ?? 0) > 0, need.package)
      assert.ok(need.why.length > 10, need.package)
    }
  })

  test('finds programs in PATH, and says which programs and files are not there', () => {
    const need = {
      package: 'x',
      tools: ['made-up-tool', 'no-program', 'absent'],
      files: ['/nonexistent/file'],
      when: 'always',
      why: '',
    } as const
    assert.deepEqual(missingParts(need, folder), ['no-program', 'absent', '/nonexistent/file'])
  })

  test('gives one command, with sudo unless one is root', () => {
    assert.equal(installCommand(['a', 'b'], true), 'apt-get install -y --no-install-recommends a b')
    assert.match(installCommand(['a'], false), /^sudo apt-get/)
  })
})
