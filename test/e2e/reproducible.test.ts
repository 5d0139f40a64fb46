/** Two builds of one commit, as different as two machines of two people: every artifact has the same bytes. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { missing } from '../helpers/disks.ts'
import { needsRoot } from '../helpers/needs.ts'
import { compileDatabase, nodeBinary, nodeVersions } from '../helpers/node-versions.ts'
import { checkout } from '../helpers/npm-project.ts'
import { type Finished, type Scratch, scratchCheckout } from '../helpers/scratch.ts'

/** What is signed differs by key, and so does what names the key. */
const signed = /\.p7s$|\.intoto\.json$|^ca\.crt$/
const nobody = '65534'

interface Machine {
  /** What its folder is called. */
  title: string
  version: string
  umask: string
  env: Record<string, string>
  /** As whom, unless as who runs the test. */
  user?: string
  args?: string[]
}

const [node20, node22, node24] = nodeVersions
const machines: [Machine, Machine, Machine] = [
  { title: 'fleetsie', version: node20, umask: '022', env: { LANG: 'C', TZ: 'UTC' } },
  {
    title: "another person's folder (é)",
    version: node22,
    umask: '077',
    env: { LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8', TZ: 'Asia/Kolkata', USER: 'nobody' },
    user: nobody,
    args: ['--jobs', '1'],
  },
  {
    title: 'a third',
    version: node24,
    umask: '007',
    env: { LC_ALL: 'POSIX', TZ: 'America/St_Johns' },
    args: ['--jobs', '7'],
  },
]

describe('artifacts do not depend on folder, user, umask, locale, time zone, jobs or Node', {
  skip: needsRoot || missing('setpriv', 'xz'),
}, () => {
  const built: { machine: Machine; scratch: Scratch; finished: Finished }[] = []

  before(async () => {
    for (const machine of machines) {
      const scratch = await scratchCheckout(machine.title)
      built.push({ machine, scratch, finished: await buildOn(machine, scratch) })
    }
  })
  after(() => Promise.all(built.map(({ scratch }) => scratch.remove())))

  async function buildOn(machine: Machine, scratch: Scratch): Promise<Finished> {
    const node = await nodeBinary(machine.version)
    await ownModules(scratch.project)
    if (machine.version !== process.versions.node)
      await compileDatabase(scratch.project, node, machine.version)
    const by = ['sh', '-c', `umask ${machine.umask}; exec "$@"`, 'sh']
    if (machine.user !== undefined) {
      execFileSync('chown', ['-R', '-h', machine.user, scratch.folder])
      by.push('setpriv', `--reuid=${machine.user}`, `--regid=${machine.user}`, '--clear-groups')
    }
    const env = { HOME: join(scratch.folder, 'home'), ...machine.env }
    return scratch.run(['build', 'sample', '--json', ...(machine.args ?? [])], { node, by, env })
  }

  test('each builds', () => {
    for (const { finished, machine } of built)
      assert.equal(finished.code, 0, `${machine.title}: ${finished.stderr}`)
    const actions = built.map(({ finished }) => [...finished.stages.keys()].sort())
    assert.deepEqual(actions[1], actions[0])
    assert.ok(actions[0]?.includes('save built'))
  })

  test('the same names with the same bytes', async () => {
    const [first, ...others] = built.map(({ scratch }) => join(scratch.project, 'out'))
    const names = (await readdir(first!)).sort()
    const compared = names.filter((name) => !signed.test(name))
    assert.deepEqual(
      compared.map((name) => name.replace('sample_fleetsie', '')),
      ['.imager.json', '.img.bmap', '.img.xz', '.sha256sums', '.spdx.json'],
    )
    for (const other of others) {
      assert.deepEqual((await readdir(other)).sort(), names)
      for (const name of compared) {
        const [a, b] = [await readFile(join(first!, name)), await readFile(join(other, name))]
        assert.ok(a.equals(b), `${name} differs in ${other}`)
      }
    }
  })

  test('the provenance inside the envelope is the same, too', async () => {
    const payloads = await Promise.all(
      built.map(async ({ scratch }) => {
        const text = await readFile(join(scratch.project, 'out/sample_fleetsie.intoto.json'), 'utf8')
        return Buffer.from(JSON.parse(text).payload, 'base64').toString()
      }),
    )
    assert.equal(payloads[1], payloads[0])
    assert.equal(payloads[2], payloads[0])
    assert.equal(JSON.parse(payloads[0]!).predicateType, 'https://slsa.dev/provenance/v1')
  })

  test("the files are everyone's to read, whatever the umask", async () => {
    for (const { scratch } of built) {
      const modes = execFileSync('stat', ['-c', '%a', ...(await readdir(join(scratch.project, 'out')))], {
        cwd: join(scratch.project, 'out'),
        encoding: 'utf8',
      })
      assert.deepEqual(new Set(modes.trim().split('\n')), new Set(['644']))
    }
  })

  test('the keys are the same: one store serves all', async () => {
    const [first, ...others] = built
    const keyed = async ({ scratch, machine }: (typeof built)[number]) => {
      const node = await nodeBinary(machine.version)
      // As root, who may read the other's folder; a note of git's about that would be told.
      const { stdout } = await scratch.run(['explain', 'save', '--target', 'sample', '--json'], {
        node,
        env: machine.env,
      })
      const answer = stdout.split('\n').find((line) => line.includes('"type":"answer"'))!
      return (JSON.parse(answer) as { data: { key: string; manifest: Record<string, string> } }).data
    }
    const expected = await keyed(first!)
    for (const other of others) {
      const found = await keyed(other)
      assert.deepEqual(found.manifest, expected.manifest)
      assert.equal(found.key, expected.key)
    }
  })
})

/** node_modules of links, but for the database, which is compiled for one Node. */
async function ownModules(project: string): Promise<void> {
  const folder = join(project, 'node_modules')
  await rm(folder)
  await mkdir(folder)
  for (const name of await readdir(join(checkout, 'node_modules'))) {
    const from = join(checkout, 'node_modules', name)
    if (name === 'better-sqlite3') await cp(from, join(folder, name), { recursive: true })
    else if (!name.startsWith('.')) await symlink(from, join(folder, name))
  }
}
