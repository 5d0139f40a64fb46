/**
 * The packed package, installed into an empty folder with a pipeline.ts and a stage of the user's own: it builds the
 * sample, and computes the keys that the checkout computes, on every Node.
 */
import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { compileDatabase, nodeBinary, nodeVersions, withNode } from '../helpers/node-versions.ts'
import { checkout, events, program, shellEnvironment, succeeds } from '../helpers/npm-project.ts'

const ownStage = `import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { input, stage, type Derivation } from 'fleetsie'
import * as v from 'valibot'

/** Names the image that it is given: a stage as a user would write one. */
export const nameplate = stage({
  kind: 'build',
  name: 'nameplate',
  module: import.meta.url,
  summary: 'Writes down which file an image was made from.',
  description: 'From a fetched file to a text.',
  example: 'nameplate({ from: stock })',
  options: v.strictObject({ from: input() }),
  async run(context) {
    const { name, sha256 } = JSON.parse(await readFile(join(context.options.from.path, 'file.json'), 'utf8'))
    const short = createHash('sha256').update(sha256).digest('hex').slice(0, 8)
    await writeFile(join(context.out, 'nameplate.txt'), \`\${name} \${short}\\n\`)
  },
})

export type Stock = Derivation
`

const addedTarget = `
import { fetch as getFile } from 'fleetsie'
import { nameplate } from './stages/nameplate.ts'
`

/** The checkout's pipeline.ts as a user of the package has it, with a target of his own. */
async function usersPipeline(): Promise<string> {
  const own = await readFile(join(checkout, 'pipeline.ts'), 'utf8')
  const users = own.replaceAll(/'\.\/lib\/index\.ts'|'\.\/stages\/[^']*'/g, "'fleetsie'")
  assert.notEqual(users, own, 'pipeline.ts imports from elsewhere than this test expects')
  const withTarget = users.replace(
    /\bpipeline\(\{/,
    "pipeline({\n  nameplate: () => nameplate({ from: getFile({ file: 'fixtures/sample.img.xz' }) }),",
  )
  assert.notEqual(withTarget, users, 'pipeline.ts calls pipeline() in another way than this test expects')
  return addedTarget + withTarget
}

/** Stage → key, for every stage of the sample, as `explain` tells it. */
async function keys(
  stages: readonly string[],
  command: readonly [string, ...string[]],
  options: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {}
  for (const stage of stages) {
    const [program, ...args] = command
    const { stdout } = await succeeds(
      program,
      [...args, 'explain', stage, '--target', 'sample', '--json'],
      options,
    )
    const answer = events(stdout).find((event) => event.type === 'answer')
    const { key, manifest } = (answer?.data ?? {}) as { key?: string; manifest?: unknown }
    assert.ok(key, `explain ${stage} tells no key`)
    found[stage] = { key, manifest }
  }
  return found
}

/** What makes the closure of a fleet's server: the digests of its code, and the sha256 of each program. */
async function serverPrograms(
  root: string,
  [program, ...args]: readonly [string, ...string[]],
  options: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<unknown> {
  const extension = root.endsWith('dist') ? 'js' : 'ts'
  const file = (path: string): string => JSON.stringify(join(root, `${path}.${extension}`))
  const script = `
import { createHash } from 'node:crypto'
const { codeDigests } = await import(${file('lib/engine/code-digest')})
const { programModules, programText, serverPrograms } = await import(${file('lib/fleet/bundle/programs')})
const { serverBundle } = await import(${file('stages/server-bundle')})
const digests = [serverBundle.stage.module, ...programModules].map((module) => codeDigests(module, process.cwd()))
const sum = async (name) => [name, createHash('sha256').update(await programText(name)).digest('hex')]
console.log(JSON.stringify({ digests, programs: await Promise.all(serverPrograms.map(sum)) }))`
  const { stdout } = await succeeds(program, [...args, '--input-type=module', '-e', script], options)
  return JSON.parse(stdout)
}

const stagesOf = (stdout: string): Extract<BuildEvent, { type: 'stage' }>[] =>
  events(stdout).filter((event) => event.type === 'stage')

describe('the package', () => {
  let folder: string
  let tarball: string
  let expected: Record<string, unknown>
  let expectedPrograms: unknown
  let stages: string[]
  const installed = new Map<string, { node: string; project: string }>()

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fleetsie-package-'))
    const copy = await copyOfCheckout(join(folder, 'checkout'))
    await succeeds('npm', ['pack', '--pack-destination', folder], { cwd: copy })
    tarball = join(folder, (await readdir(folder)).find((name) => name.endsWith('.tgz'))!)

    const env = shellEnvironment({ ...ownFolders('checkout'), NODE_OPTIONS: '--import=tsx' })
    const zx = ['node_modules/.bin/zx', 'pipeline.ts'] as const
    const { stdout } = await succeeds(zx[0], [zx[1], 'build', 'sample', '--json'], { cwd: copy, env })
    stages = [...new Set(stagesOf(stdout).map((event) => event.stage))]
    expected = await keys(stages, zx, { cwd: copy, env })
    expectedPrograms = await serverPrograms(copy, [process.execPath], { cwd: copy, env })
    // The first time, better-sqlite3 is compiled for each version: a minute on one core.
    await Promise.all(
      nodeVersions.map(async (version) => {
        const [node, project] = await Promise.all([
          nodeBinary(version),
          usersProject(`project on ${version}`),
        ])
        await compileDatabase(project, node, version)
        installed.set(version, { node, project })
      }),
    )
  })
  after(async () => {
    // Objects of the store are read-only.
    await program('chmod', ['-R', 'u+w', folder], { cwd: tmpdir() })
    await rm(folder, { recursive: true, force: true })
  })

  /** A store for each, and one signing key for all: its certificate is part of the keys. */
  function ownFolders(name: string): Record<string, string> {
    return { FLEETSIE_STORE: join(folder, `store of ${name}`), XDG_CONFIG_HOME: join(folder, 'config') }
  }

  /** A folder as the user has it, from the files of the working tree, with nothing of its dist/. */
  async function copyOfCheckout(to: string): Promise<string> {
    const { stdout } = await succeeds('git', ['ls-files', '-z', '-co', '--exclude-standard'], {
      cwd: checkout,
    })
    await mkdir(to)
    for (const name of stdout.split('\0').filter(Boolean)) {
      // A file that was removed and is not committed yet is still in git's list.
      await cp(join(checkout, name), join(to, name), { recursive: true }).catch(
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw error
        },
      )
    }
    await symlink(join(checkout, 'node_modules'), join(to, 'node_modules'))
    await track(to)
    return to
  }

  /** Overlays hold what git tracks. */
  async function track(project: string): Promise<void> {
    await succeeds('git', ['init', '-q'], { cwd: project })
    await succeeds('git', ['add', '-A'], { cwd: project })
  }

  test('holds the program and what it needs, and nothing else', async () => {
    const { stdout } = await succeeds('tar', ['-tzf', tarball], { cwd: folder })
    const names = stdout.split('\n').filter(Boolean)
    for (const needed of [
      'dist/lib/cli/bin.js',
      'dist/lib/index.d.ts',
      'dist/source-manifest.json',
      'scripts/requirements.json',
    ]) {
      assert.ok(names.includes(`package/${needed}`), needed)
    }
    assert.ok(names.some((name) => name.startsWith('package/units/')))
    const strange = names.filter(
      (name) =>
        !/^package\/(dist\/(lib|stages)\/|dist\/server\/fleetsie_\w+\.cjs|dist\/source-manifest\.json|units\/|scripts\/requirements\.json|package\.json|README\.md|LICENSE)/.test(
          name,
        ),
    )
    assert.deepEqual(strange, [])
  })

  /** An empty folder with the user's own files, and the package installed. */
  async function usersProject(name: string): Promise<string> {
    const project = join(folder, name)
    await mkdir(join(project, 'stages'), { recursive: true })
    await writeFile(join(project, 'package.json'), '{ "name": "mine", "private": true, "type": "module" }\n')
    await writeFile(join(project, 'pipeline.ts'), await usersPipeline())
    await writeFile(join(project, 'stages/nameplate.ts'), ownStage)
    for (const name of ['overlays', 'fixtures/sample.img.xz']) {
      await cp(join(checkout, name), join(project, name), { recursive: true })
    }
    await writeFile(join(project, '.gitignore'), 'node_modules\n')
    await track(project)
    const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
    await succeeds('npm', [...install, tarball, 'valibot'], { cwd: project })
    return project
  }

  test('gives the compiler its types', async () => {
    const project = await usersProject('typed project')
    const options = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--allowImportingTsExtensions',
    ]
    const types = ['--types', 'node', '--typeRoots', join(checkout, 'node_modules/@types')]
    const compiler = join(checkout, 'node_modules/typescript/bin/tsc')
    const compile = () =>
      program(process.execPath, [compiler, ...options, ...types, 'pipeline.ts'], { cwd: project })
    const { code, stdout } = await compile()
    assert.equal(code, 0, stdout)
    await writeFile(
      join(project, 'stages/nameplate.ts'),
      ownStage.replace('options.from.path', 'options.form.path'),
    )
    assert.match((await compile()).stdout, /nameplate\.ts.*'form' does not exist/)
  })

  for (const version of nodeVersions) {
    test(`builds the sample and a stage of the user's own with the same keys on Node ${version}`, async () => {
      const { node, project } = installed.get(version)!
      const env = withNode(node, ownFolders(version))
      const bin = [node, 'node_modules/.bin/fleetsie'] as const
      const build = async (target: string) =>
        stagesOf((await succeeds(bin[0], [bin[1], 'build', target, '--json'], { cwd: project, env })).stdout)

      const first = await build('sample')
      assert.deepEqual([...new Set(first.map((event) => event.stage))].sort(), [...stages].sort())
      for (const event of first) assert.match(event.action, /^(built|applied)$/, JSON.stringify(event))
      assert.deepEqual(await keys(stages, bin, { cwd: project, env }), expected)
      for (const event of await build('sample'))
        assert.match(event.action, /^(cached|unchanged)$/, JSON.stringify(event))

      const shipped = join(project, 'node_modules/fleetsie/dist')
      assert.deepEqual(await serverPrograms(shipped, [node], { cwd: project, env }), expectedPrograms)

      const own = await build('nameplate')
      assert.equal(own.find((event) => event.stage === 'nameplate')?.action, 'built')
      await writeFile(join(project, 'stages/nameplate.ts'), `${ownStage}// changed\n`)
      const again = (await build('nameplate')).find((event) => event.stage === 'nameplate')
      assert.equal(again?.action, 'built')
      assert.match(again.because, /nameplate\.ts|code/)
    })
  }
})
