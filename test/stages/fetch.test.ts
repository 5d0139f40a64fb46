import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import type * as v from 'valibot'
import type { BuildStage, SourceHost } from '../../lib/engine/stage.ts'
import type { FleetsieError } from '../../lib/errors.ts'
import { fetch } from '../../stages/fetch.ts'
import { buildContext } from '../helpers/context.ts'
import { honest, serve } from '../lib/images/download/server.ts'

type Options = {
  url?: string
  sha256?: string
  file?: string
  name?: string
  signature?: { file: string; keyring: string }
}
const stage = fetch.stage as BuildStage<v.GenericSchema<Options, Options>>
const body = Buffer.from('the bytes of an image')
const sha256 = createHash('sha256').update(body).digest('hex')

let folder: string
let notes: string[]
const cache = process.env['XDG_CACHE_HOME']
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetsie-fetch-'))
  process.env['XDG_CACHE_HOME'] = join(folder, 'cache')
})
after(async () => {
  if (cache === undefined) delete process.env['XDG_CACHE_HOME']
  else process.env['XDG_CACHE_HOME'] = cache
  await rm(folder, { recursive: true, force: true })
})
beforeEach(() => {
  notes = []
})

const host = (): SourceHost => ({
  cwd: folder,
  sha256: async (file) =>
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex'),
  note: (line) => notes.push(line),
})

/** Runs the stage and gives the files of its output. */
async function run(options: Options): Promise<Record<string, string>> {
  const checked = fetch(options).options as Options
  const sources = (await stage.sources?.(checked, host())) ?? []
  const context = await buildContext<Options>(checked, { sources })
  try {
    await stage.run(context)
    const names = (await readdir(context.out)).sort()
    for (const [name, digest] of context.record.declared) {
      const bytes = await readFile(join(context.out, name))
      assert.deepEqual(digest, { sha256: createHash('sha256').update(bytes).digest('hex') })
    }
    return Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await readFile(join(context.out, name), 'utf8')])),
    )
  } finally {
    await context.remove()
  }
}

function fails(code: string, message: RegExp) {
  return (error: unknown) => {
    assert.equal((error as FleetsieError).code, code, String(error))
    assert.match((error as Error).message, message)
    return true
  }
}

describe('fetch', () => {
  test('takes a file of this machine, and shows the sum that it has', async () => {
    await writeFile(join(folder, 'a b.img.xz'), body)
    const files = await run({ file: 'a b.img.xz' })
    assert.equal(files['a b.img.xz'], String(body))
    assert.deepEqual(JSON.parse(files['file.json']!), { name: 'a b.img.xz', sha256, size: body.length })
    assert.deepEqual(notes, [`a b.img.xz has sha256 ${sha256}`])
  })

  test('takes a file from the web, and leaves nothing in the folder for downloads', async () => {
    const server = await serve(honest(body))
    try {
      const files = await run({ url: `${server.url}/some/where/a%20b.img.xz?token=1`, sha256 })
      assert.equal(files['a b.img.xz'], String(body))
      assert.deepEqual(JSON.parse(files['file.json']!), { name: 'a b.img.xz', sha256, size: body.length })
      assert.deepEqual(await readdir(join(folder, 'cache/fleetsie-downloads')), [])
    } finally {
      await server.close()
    }
  })

  test('is fixed by sum and name when it has a URL, and by its source when it has a file', () => {
    const fixed = (options: Options) => stage.fixedOutput?.(options)
    assert.equal(
      fixed({ url: 'http://a.example/x', sha256 }),
      fixed({ url: 'https://b.example/y/x', sha256 }),
    )
    assert.notEqual(
      fixed({ url: 'http://a.example/x', sha256 }),
      fixed({ url: 'http://a.example/y', sha256 }),
    )
    assert.equal(fixed({ file: 'x' }), undefined)
  })

  const refused: [string, Options, string, RegExp][] = [
    ['a URL without a sum', { url: 'https://example.org/x' }, 'E_OPTION', /needs its `sha256`.*sha256sum/],
    [
      'both a URL and a file',
      { url: 'https://example.org/x', sha256, file: 'x' },
      'E_OPTION',
      /either `url` or `file`/,
    ],
    ['neither', {}, 'E_OPTION', /either `url` or `file`/],
    ['a sum that is too short', { file: 'x', sha256: 'abc' }, 'E_OPTION', /64 hexadecimal digits/],
    ['another scheme', { url: 'file:///etc/passwd', sha256 }, 'E_OPTION', /https:\/\/ or http:\/\//],
    [
      'a URL that ends in no name',
      { url: 'https://example.org/', sha256 },
      'E_OPTION',
      /does not end in a file name/,
    ],
    [
      'a URL whose name leaves its folder',
      { url: 'https://example.org/..%2fx', sha256 },
      'E_OPTION',
      /file name/,
    ],
    ['a name that leaves its folder', { file: 'x', name: '../x' }, 'E_OPTION', /takes a file name/],
    ['a name of 256 bytes', { file: 'x', name: 'ä'.repeat(128) }, 'E_OPTION', /takes a file name/],
    ['a file that is not there', { file: 'missing' }, 'E_INPUT', /no such file/],
    ['a folder', { file: 'folder' }, 'E_INPUT', /no regular file/],
    [
      'a file with another sum',
      { file: 'x', sha256: '0'.repeat(64) },
      'E_VERIFY',
      new RegExp(`${sha256}.*0{64}`),
    ],
  ]
  for (const [title, options, code, message] of refused) {
    test(`refuses ${title}`, async () => {
      await mkdir(join(folder, 'folder'), { recursive: true })
      await writeFile(join(folder, 'x'), body)
      await assert.rejects(run(options), fails(code, message))
    })
  }

  test('refuses a file that changes between its sum and its copy', async () => {
    await writeFile(join(folder, 'moving'), body)
    const options = { file: 'moving' }
    const sources = (await stage.sources?.(options, host())) ?? []
    await writeFile(join(folder, 'moving'), 'other')
    const context = await buildContext<Options>(options, { sources })
    await assert.rejects(stage.run(context), fails('E_INPUT', /changed while it was read/))
    await context.remove()
  })

  describe('with a signature', {
    skip: hasProgram('gpg') ? false : 'needs gpg (Debian package gnupg)',
  }, () => {
    const signature = { file: 'x.sig', keyring: 'keys.gpg' }
    const gpg = (...args: string[]): void => {
      const home = join(folder, 'gnupg')
      const { status, stderr } = spawnSync('gpg', ['--homedir', home, '--batch', '--yes', ...args], {
        cwd: folder,
      })
      assert.equal(status, 0, String(stderr))
    }
    before(async () => {
      await mkdir(join(folder, 'gnupg'), { mode: 0o700 })
      await writeFile(join(folder, 'x'), body)
      for (const name of ['publisher', 'stranger']) {
        gpg(
          '--passphrase',
          '',
          '--quick-generate-key',
          `${name} <${name}@example.org>`,
          'ed25519',
          'sign',
          'never',
        )
      }
      gpg('--local-user', 'publisher', '--output', 'x.sig', '--detach-sign', 'x')
      gpg('--output', 'keys.gpg', '--export', 'publisher')
      gpg('--output', 'strangers.gpg', '--export', 'stranger')
    })
    after(() => {
      spawnSync('gpgconf', ['--homedir', join(folder, 'gnupg'), '--kill', 'all'])
    })

    test('takes a file that a key of the keyring signed', async () => {
      assert.equal((await run({ file: 'x', signature }))['x'], String(body))
    })

    test('checks a download as well, and again when the keyring changes', async () => {
      const server = await serve(honest(body))
      try {
        const options = { url: `${server.url}/x`, sha256, signature }
        assert.equal((await run(options))['x'], String(body))
        assert.equal(stage.fixedOutput?.(options), undefined)
        const sources = (await stage.sources?.(options, host())) ?? []
        assert.deepEqual(
          sources.map((source) => source.path),
          ['signature/file', 'signature/keyring'],
        )
      } finally {
        await server.close()
      }
    })

    test('refuses one that nobody in the keyring signed', async () => {
      const options = { file: 'x', signature: { ...signature, keyring: 'strangers.gpg' } }
      await assert.rejects(run(options), fails('E_VERIFY', /does not accept the signature.*No public key/s))
    })

    test('refuses one with other bytes than were signed', async () => {
      await writeFile(join(folder, 'y'), 'other bytes')
      await assert.rejects(run({ file: 'y', signature }), fails('E_VERIFY', /BAD signature/))
    })

    test('refuses a keyring that is none', async () => {
      await writeFile(join(folder, 'none.gpg'), 'no keys')
      const options = { file: 'x', signature: { ...signature, keyring: 'none.gpg' } }
      await assert.rejects(run(options), fails('E_VERIFY', /does not accept/))
    })
  })
})

function hasProgram(name: string): boolean {
  return spawnSync(name, ['--version']).status === 0
}
