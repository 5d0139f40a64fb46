/** The program as it is called over ssh: one object in, one out, an exit code; in a home of its own. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import * as v from 'valibot'
import { mainFile } from '../../../../lib/fleet/registry/paths.ts'
import { errorReply, genReply } from '../../../../lib/fleet/server/protocol.ts'
import { needs } from '../../../helpers/needs.ts'
import { disk, ended, genRequest, RegistryServer } from '../../../helpers/registry.ts'

const program = resolve(import.meta.dirname, '../../../../lib/fleet/server/fleetsie_gen_srv.ts')
const root = mkdtempSync(join(tmpdir(), 'fleetsie-gen-srv-'))
let home: string
let homes = 0

// What sudo and the root helper do here: the folder, and the keys that they are given.
const sudo = `#!/bin/sh
set -eu
[ ! -e "$HOME/no-sudo" ] || { echo 'sudo: a password is required' >&2; exit 1; }
[ "$1 $2 $3" = '-n -- /usr/local/sbin/fleetsie_root' ] || exit 64
shift 3
printf '%s\\n' "$*" >>"$HOME/called"
case $1 in
add-fleet) mkdir -p "$HOME/fleets/$2" ;;
write-keys) cat >"$HOME/authorized_keys.$2" && [ "$(wc -c <"$HOME/authorized_keys.$2")" -eq "$3" ] ;;
open-files) cd '${import.meta.dirname}' && exec '${process.execPath}' --import tsx '${program}' files "$HOME" "$2" ;;
esac
`

before(() => {
  mkdirSync(join(root, 'bin'))
  writeFileSync(join(root, 'bin/sudo'), sudo)
  chmodSync(join(root, 'bin/sudo'), 0o755)
})
beforeEach(() => {
  homes += 1
  home = join(root, String(homes))
  mkdirSync(join(home, 'fleets'), { recursive: true })
})
after(() => rmSync(root, { recursive: true, force: true }))

async function call(
  input: string,
): Promise<{ end: unknown; stdout: string; stderr: string; reply: unknown }> {
  const env = { ...process.env, HOME: home, PATH: `${join(root, 'bin')}:${process.env['PATH']}` }
  const child = spawn(process.execPath, ['--import', 'tsx', program], { env, stdio: 'pipe' })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const result = await ended(child)
  return { ...result, reply: JSON.parse(result.stdout) }
}

test('it allocates, in the home of the one who calls it', { skip: needs('sqlite3') }, async () => {
  const request = genRequest({ num: 2, disk: disk(1) })
  const { end, reply, stderr } = await call(JSON.stringify(request))
  assert.equal(end, 0, stderr)
  assert.equal(v.parse(genReply, reply).disk?.devices.length, 2)
  assert.equal(stderr, '')
  const called = readFileSync(join(home, 'called'), 'utf8')
  assert.match(called, /^add-fleet birds\nopen-files birds\nwrite-keys birds \d+\n$/)
  assert.deepEqual(new RegistryServer(home).faults(), [])
})

test('an error is an object too, with its exit code', async () => {
  const { end, reply, stderr } = await call('{"do":"gen"}')
  assert.equal(end, 1)
  assert.equal(v.parse(errorReply, reply).error.code, 'E_INPUT')
  assert.equal(stderr, '')
  assert.equal(existsSync(mainFile(home)), false)
})

test('a server that was not set up says so', async () => {
  writeFileSync(join(home, 'no-sudo'), '')
  const { end, reply } = await call(JSON.stringify(genRequest({ num: 1 })))
  assert.equal(end, 7)
  assert.match(v.parse(errorReply, reply).error.hint ?? '', /fleetsie srv/)
  assert.equal(new RegistryServer(home).rows('main').length, 0)
})

test('the file that an error is about is named', async () => {
  writeFileSync(mainFile(home), 'no database\n'.repeat(100))
  const { end, reply } = await call(JSON.stringify(genRequest({ num: 1 })))
  assert.equal(end, 6)
  assert.ok(v.parse(errorReply, reply).error.message.startsWith(mainFile(home)))
})

test('two at the same time wait for each other, of one fleet and of two', {
  skip: needs('sqlite3'),
}, async () => {
  const calls = ['birds', 'birds', 'fish', 'birds'].map((fleet, n) =>
    JSON.stringify(genRequest({ fleet, num: 50, disk: disk(n) })),
  )
  const results = await Promise.all(calls.map(call))
  const numbers = new Map<string, number[]>()
  const ports: number[] = []
  for (const { end, reply, stderr } of results) {
    assert.equal(end, 0, stderr)
    const { fleet, generated } = v.parse(genReply, reply)
    numbers.set(fleet, [...(numbers.get(fleet) ?? []), ...generated.map((row) => row.id_in_fleet)])
    ports.push(...generated.map((row) => row.tunnel_port))
  }
  const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)
  assert.deepEqual(
    numbers.get('birds')?.sort((a, b) => a - b),
    upTo(150),
  )
  assert.deepEqual(
    numbers.get('fish')?.sort((a, b) => a - b),
    upTo(50),
  )
  assert.deepEqual(
    ports.sort((a, b) => a - b),
    upTo(200).map((n) => 20_000 + n),
  )
  const server = new RegistryServer(home)
  assert.deepEqual([...server.faults('birds'), ...server.faults('fish')], [])
})
