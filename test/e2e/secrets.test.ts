/** The signing key never gets into the store, its database, a log, an event, an artifact or an image. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { sampleTarget } from '../helpers/sample-target.ts'
import { copyCode, type Scratch, scratchProject } from '../helpers/scratch.ts'
import { type Made, makeKey } from '../helpers/signing.ts'

const mark = 'MARK-THAT-NOBODY-MAY-SEE'
let folder: string
let key: Made
let scratch: Scratch

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetsie-secrets-'))
  await copyCode(join(folder, 'code'))
  key = makeKey(join(folder, 'key'))
  scratch = await scratchProject(join(folder, 'code'))
  await scratch.write('overlays/part_2/etc/motd', 'hello\n')
  await scratch.write('pipeline.ts', pipeline(join(folder, 'code')))
})
after(async () => {
  await scratch.remove()
  await removeTree(folder)
})

/** What would betray the key: lines of the PEM, and its numbers as they stand in DER. */
function traces(): Buffer[] {
  const lines = key.key.split('\n').filter((line) => line !== '' && !line.startsWith('-----'))
  const numbers = createPrivateKey(key.key).export({ format: 'jwk' })
  // n and e are public: they are in the certificate.
  const secret = (['d', 'p', 'q', 'dp', 'dq', 'qi'] as const).map((name) => String(numbers[name]))
  const binary = secret.map((text) => Buffer.from(text, 'base64url').subarray(0, 48))
  const texts = [...lines, ...secret.map((text) => text.slice(0, 40)), mark, `${mark}-${lines[0]}`]
  // The first line of every such PEM holds what is public, and little else.
  return [...texts.slice(1).map((text) => Buffer.from(text)), ...binary]
}

function found(name: string, bytes: Buffer, needles: Buffer[]): string[] {
  return needles.some((needle) => bytes.includes(needle)) ? [name] : []
}

/** Files below a folder, .xz ones as what is in them as well, that hold any of the needles. */
function filesWith(root: string, needles: Buffer[]): string[] {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files.flatMap((entry) => {
    const path = join(entry.parentPath, entry.name)
    const more = path.endsWith('.xz')
      ? found(`${path} (decompressed)`, execFileSync('xz', ['-dc', path], { maxBuffer: 2 ** 30 }), needles)
      : []
    return [...found(path, readFileSync(path), needles), ...more]
  })
}

test('the search finds what it looks for', async () => {
  await scratch.write('overlays/canary.pem', key.key)
  assert.equal(filesWith(join(scratch.project, 'overlays'), traces()).length, 1)
  const der = createPrivateKey(key.key).export({ format: 'der', type: 'pkcs8' })
  await scratch.write('overlays/canary.pem', der)
  assert.equal(filesWith(join(scratch.project, 'overlays'), traces()).length, 1)
  await scratch.write('overlays/canary.pem', '')
})

test('after builds that sign, fail, check, explain and print JSON', { timeout: 300_000 }, async () => {
  const secrets = {
    FLEETSIE_SIGNING_KEY: key.key,
    FLEETSIE_SIGNING_CERT: key.chain,
    FLEETSIE_OTHER_SECRET: mark,
  }
  const calls: [args: string[], code: number, env?: Record<string, string>][] = [
    [['build', 'sample', '--json'], 0],
    [['build', 'nosy'], 4],
    [['build', 'nosy', '--json'], 4],
    [['build', 'sample', '--check'], 0],
    [['explain', 'sign', '--all', '--json'], 0],
    [['build', '--no-cache=sign'], 0],
    [['keys', 'show'], 0],
    [['verify', 'out/sample_fleetsie.img.xz'], 0],
    [
      ['build', '--no-cache=sign'],
      1,
      // At its end it would be taken for a remark behind some keys.
      { FLEETSIE_SIGNING_KEY: key.key.replace('\n', `\n${mark}\n`) },
    ],
    [['build', '--no-cache=sign'], 1, { FLEETSIE_SIGNING_KEY: `${mark} is no key` }],
    [['build', '--no-cache=sign'], 1, { FLEETSIE_SIGNING_CERT: `${mark} is no certificate` }],
  ]
  for (const [args, code, env] of calls) {
    const ended = await scratch.run(args, { env: { ...secrets, ...env } })
    assert.equal(ended.code, code, `${args.join(' ')}\n${ended.stderr}`)
    assert.deepEqual(found(args.join(' '), Buffer.from(ended.stdout + ended.stderr), traces()), [])
  }
  const written = [scratch.store, join(scratch.project, 'out'), join(scratch.folder, 'config')]
  for (const root of written) {
    try {
      assert.deepEqual(filesWith(root, traces()), [])
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  const logs = readdirSync(join(scratch.store, 'logs'))
  assert.ok(logs.length > 0 && readFileSync(join(scratch.store, 'db.sqlite')).length > 0)
})

const pipeline = (code: string): string => `
import * as v from 'valibot'
import { decompress, fetch, install, mount, overlay, pipeline, save, sign, stage } from '${code}/lib/index.ts'
const nosy = stage({
  kind: 'build', name: 'nosy', module: import.meta.url, summary: '', description: '', example: '', options: v.strictObject({}),
  // Prints what a program sees, and fails: the error and the log hold it.
  run: async ({ run }) => void (await run('sh', ['-c', 'env >&2; exit 1'])),
})
await pipeline({
${sampleTarget}
  nosy: () => nosy({}),
})
`
