/** A closure on its way to a server and into use: small ones, whose program is a shell script. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { closure } from '../../lib/fleet/closure-resource.ts'
import { apply, plan } from '../../lib/hosts/converge.ts'
import type { Place } from '../../lib/hosts/resources/resource.ts'
import { FleetServer } from '../helpers/fleet-server.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { placeOn } from '../helpers/server-host.ts'
import { end, member } from '../helpers/tar.ts'

const skip = needsRoot || needs('mmdebstrap', 'unshare', 'nsenter', 'ip', 'flock')

/** Answers {} with an error, as ours does, and `setup` with `code`. */
const answering = (version: string, code = 0): string => `#!/bin/sh
# ${version}
read -r request
case $request in
*setup*) echo "setup of ${version} as $(id -un)"; exit ${code} ;;
*) echo '{"error":{}}'; exit 1 ;;
esac
`

describe('the closure of a server', { skip }, () => {
  let server: FleetServer
  let place: Place
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-closures-'))
  before(async () => {
    server = await FleetServer.start()
    place = placeOn(server)
    await server.does('useradd', '-m', 'fleetsie')
  })
  after(async () => {
    await server?.stop()
    rmSync(folder, { recursive: true })
  })

  /** A bundle as `server-bundle` makes it; `damage`: its list says something else than the archive holds. */
  function bundle(
    text: string,
    { architecture = 'x64', damage = false } = {},
  ): { path: string; digest: string; size: number } {
    const data = Buffer.from(text)
    const tar = Buffer.concat([member('fleetsie_gen_srv', { mode: 0o555, data }), end])
    const digest = createHash('sha256').update(tar).digest('hex')
    const path = join(folder, digest + architecture + damage)
    mkdirSync(path, { recursive: true })
    writeFileSync(join(path, 'closure.tar'), tar)
    const sha256 = createHash('sha256')
      .update(damage ? 'other' : data)
      .digest('hex')
    const files = [{ path: 'fleetsie_gen_srv', mode: '555', size: data.length, sha256 }]
    writeFileSync(
      join(path, 'closure.json'),
      JSON.stringify({ digest, size: tar.length, architecture, files }),
    )
    return { path, digest, size: tar.length }
  }
  /** How far the last upload was told to be. */
  let sent: number[][] = []
  async function install(path: string): Promise<number> {
    const resources = [closure(async () => path)]
    const planned = await plan(place, resources)
    sent = []
    const begin = () => (done: number, total: number) => sent.push([done, total])
    await apply(place, resources, planned, () => {}, begin)
    assert.deepEqual(await plan(place, resources), [])
    return planned.length
  }
  const current = (): Promise<string> => server.does('sh', '-c', 'cat /opt/fleetsie/current/fleetsie_gen_srv')
  const there = async (): Promise<string[]> =>
    (await server.does('ls', '/opt/fleetsie/closures')).trim().split('\n')

  const [one, two, three] = ['one', 'two', 'three'].map((version) => bundle(answering(version)))

  test('is unpacked read-only, switched to, and then left alone', async () => {
    assert.equal(await install(one!.path), 1)
    assert.deepEqual(sent.at(-1), [one!.size, one!.size])
    assert.equal(await install(one!.path), 0)
    assert.equal(await current(), answering('one'))
    assert.equal(
      await server.does('sh', '-c', 'cd /opt/fleetsie/current/ && stat -c "%U:%G %a %n" . fleetsie_gen_srv'),
      'root:root 555 .\nroot:root 555 fleetsie_gen_srv\n',
    )
  })

  test('keeps the one before and removes older ones, and goes back to one that is there', async () => {
    await install(two!.path)
    await install(three!.path)
    assert.deepEqual(await there(), [two!.digest, three!.digest].sort())
    await install(two!.path)
    assert.equal(await current(), answering('two'))
    assert.deepEqual(await there(), [two!.digest, three!.digest].sort())
  })

  for (const [title, text, message] of [
    ['whose program does not run', '#!/no/such/interpreter\n', /does not run here/],
    ['whose program says nothing', '#!/bin/sh\n', /does not run here/],
    [
      'that does not work on the databases',
      answering('four', 6),
      /the one before is in use again: setup of four as fleetsie/,
    ],
  ] as const) {
    test(`stays as it was when one comes ${title}`, async () => {
      await assert.rejects(install(bundle(text).path), message)
      assert.equal(await current(), answering('two'))
      // The one before stays as well.
      assert.ok((await there()).includes(three!.digest))
    })
  }

  test('is not put in place when a file of it is not what the list says', async () => {
    const { path, digest } = bundle(answering('five'), { damage: true })
    await assert.rejects(install(path), /closure \/opt\/fleetsie\/current: .*fleetsie_gen_srv: FAILED/s)
    assert.ok(!(await there()).some((name) => name.startsWith(digest)))
    assert.equal(await current(), answering('two'))
  })

  test('is made anew from what an interrupted run has left', async () => {
    const { path, digest } = bundle(answering('six'))
    await server.does(
      'sh',
      '-c',
      'mkdir "$1.tmp" && echo half >"$1.tmp/fleetsie_gen_srv"',
      'sh',
      `/opt/fleetsie/closures/${digest}`,
    )
    await install(path)
    assert.equal(await current(), answering('six'))
    assert.deepEqual(await there(), [two!.digest, digest].sort())
  })

  test('of another manager, at the same time, is not removed while it comes into use', async () => {
    const slow = bundle(`#!/bin/sh
read -r request
case $request in
*setup*)
	was=$(readlink /opt/fleetsie/current)
	touch /tmp/at-work
	tries=0
	while [ "$tries" -lt 30 ] && [ "$(readlink /opt/fleetsie/current)" = "$was" ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	;;
*) echo '{"error":{}}'; exit 1 ;;
esac
`)
    const other = bundle(answering('seven'))
    const [first, second] = await Promise.all(
      [slow, other].map(async ({ path }) => {
        const resources = [closure(async () => path)]
        return { resources, planned: await plan(place, resources) }
      }),
    )
    const switching = apply(place, first!.resources, first!.planned, () => {})
    await server.does('sh', '-c', 'until [ -e /tmp/at-work ]; do sleep 0.05; done')
    await apply(place, second!.resources, second!.planned, () => {})
    // Where its second look comes late, it sees that another one is in use.
    await Promise.allSettled([switching])
    assert.equal(await current(), answering('seven'))
  })

  test('for another architecture is refused', async () => {
    const { path } = bundle(answering('one'), { architecture: 'arm64' })
    await assert.rejects(install(path), {
      code: 'E_INPUT',
      message: /the bundle is for arm64, and the server is x86_64/,
    })
  })
})
