import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { type DownloadOptions, download } from '../../../../lib/images/download/download.ts'
import { downloadFolder } from '../../../../lib/images/download/partial.ts'
import { redirectTarget } from '../../../../lib/images/download/request.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { breakOff, type Handler, honest, serve, type TestServer } from './server.ts'

// Larger than what the sockets of both sides hold, and no piece of it like another.
const body = Buffer.concat(
  Array.from({ length: 32 * 1024 }, (_, index) => createHash('sha256').update(String(index)).digest()),
)
const sha256 = createHash('sha256').update(body).digest('hex')
const other = Buffer.from(body).fill('x', 1000, 2000)

const daemon = readFileSync('/etc/passwd', 'utf8')
  .split('\n')
  .find((line) => line.startsWith('daemon:'))!
  .split(':')

let folder: string
let server: TestServer | undefined
let notes: string[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetsie-download-'))
  notes = []
})
afterEach(async () => {
  await server?.close()
  server = undefined
  await rm(folder, { recursive: true, force: true })
})

async function get(handler: Handler, overrides: Partial<DownloadOptions> = {}): Promise<Buffer> {
  await server?.close()
  server = await serve(handler)
  let got: Buffer | undefined
  await download({
    url: `${server.url}/file.img.xz`,
    sha256,
    folder,
    signal: new AbortController().signal,
    note: (line) => notes.push(line),
    backoff: 1,
    use: async ({ path, size }) => {
      got = await readFile(path)
      assert.equal(got.length, size)
    },
    ...overrides,
  })
  return got!
}

function fails(code: string, message: RegExp) {
  return (error: unknown) => {
    assert.equal((error as FleetsieError).code, code, String(error))
    assert.match((error as Error).message, message)
    return true
  }
}

const partialSize = async () => (await readFile(join(folder, `${sha256}.part`))).length

describe('download', () => {
  test('gives the whole file, tells its progress, and leaves nothing in its folder', async () => {
    const progress: [number, number | undefined][] = []
    const got = await get(honest(body), { progress: (done, total) => progress.push([done, total]) })
    assert.ok(got.equals(body))
    assert.deepEqual(progress.at(-1), [body.length, body.length])
    assert.deepEqual(await readdir(folder), [])
  })

  test('goes on where a broken connection ended', async () => {
    const got = await get((request, response, number) =>
      number === 1 ? breakOff(response, body, 300_000) : honest(body)(request, response, number),
    )
    assert.ok(got.equals(body))
    assert.equal(server?.ranges.length, 2)
    assert.match(server?.ranges[1] ?? '', /^bytes=[1-9]\d*-$/)
  })

  test('keeps what came when it gives up, and goes on from there the next time', async () => {
    await assert.rejects(
      get((_, response, number) =>
        number === 1 ? breakOff(response, body, 300_000) : response.writeHead(503).end(),
      ),
      fails('E_DOWNLOAD', /answered 503; gave up after 5 attempts/),
    )
    assert.equal(server?.ranges.length, 6)
    const kept = await partialSize()
    assert.ok(kept > 0)
    assert.ok((await get(honest(body))).equals(body))
    assert.deepEqual(server?.ranges, [`bytes=${kept}-`])
    assert.match(notes.join('\n'), /resuming/)
    assert.deepEqual(await readdir(folder), [])
  })

  test('takes over what a killed process left', async () => {
    const dead = 2 ** 22 + 12345
    await writeFile(join(folder, `${sha256}.${dead}-01234567.part`), body.subarray(0, 5000))
    assert.ok((await get(honest(body))).equals(body))
    assert.deepEqual(server?.ranges, ['bytes=5000-'])
    assert.deepEqual(await readdir(folder), [])
  })

  test('leaves alone what a living process is writing', async () => {
    const name = `${sha256}.${process.pid}-01234567.part`
    await writeFile(join(folder, name), body.subarray(0, 5000))
    assert.ok((await get(honest(body))).equals(body))
    assert.deepEqual(server?.ranges, [undefined])
    assert.deepEqual(await readdir(folder), [name])
  })

  const elsewhere: [string, (target: string, path: string) => Promise<void>][] = [
    ['a symbolic link', symlink],
    ['a hard link', link],
  ]
  for (const [title, make] of elsewhere) {
    test(`begins anew, and writes nowhere else, where ${title} waits in the place of a partial file`, async () => {
      const outside = join(folder, 'outside')
      await writeFile(outside, body.subarray(0, 10))
      await make(outside, join(folder, `${sha256}.part`))
      assert.ok((await get(honest(body))).equals(body))
      assert.deepEqual(server?.ranges, [undefined])
      assert.equal((await readFile(outside)).length, 10)
    })
  }

  test("under sudo what is kept is the caller's", { skip: needsRoot }, async (t) => {
    const outer = { ...process.env }
    t.after(() => {
      process.env = outer
    })
    process.env = { ...outer, SUDO_UID: '65534', SUDO_GID: '65533', XDG_CACHE_HOME: join(folder, 'cache') }
    const dropped: Handler = (_, response, number) =>
      number === 1 ? breakOff(response, body, 300_000, '"it"') : response.writeHead(404).end()
    const url = { folder: await downloadFolder() }
    await assert.rejects(get(dropped, url), fails('E_DOWNLOAD', /404/))
    assert.equal(url.folder, join(folder, 'cache/fleetsie-downloads'))
    for (const path of [
      '',
      'fleetsie-downloads',
      ...(await readdir(url.folder)).map((name) => `fleetsie-downloads/${name}`),
    ]) {
      const { uid, gid } = await stat(join(folder, 'cache', path))
      assert.deepEqual([uid, gid], [65534, 65533], path)
    }
    assert.deepEqual((await readdir(url.folder)).sort(), [`${sha256}.json`, `${sha256}.part`])
    process.env = { ...outer, SUDO_UID: daemon[2]!, SUDO_GID: daemon[3]!, HOME: '/root' }
    delete process.env['XDG_CACHE_HOME']
    assert.equal(await downloadFolder(), `${daemon[5]}/.cache/fleetsie-downloads`)
  })

  test('knows a file that was complete already', async () => {
    await writeFile(join(folder, `${sha256}.part`), body)
    assert.ok((await get(honest(body))).equals(body))
    assert.deepEqual(server?.ranges, [`bytes=${body.length}-`])
  })

  test('is sent the whole file by a server whose file has changed meanwhile', async () => {
    const got = await get((request, response, number) =>
      number === 1
        ? breakOff(response, other, 300_000, '"old"')
        : honest(body, '"new"')(request, response, number),
    )
    assert.ok(got.equals(body))
    assert.equal(server?.ranges.length, 2)
  })

  test('begins again when parts of two files were put together', async () => {
    await writeFile(join(folder, `${sha256}.part`), other.subarray(0, 300_000))
    assert.ok((await get(honest(body))).equals(body))
    assert.deepEqual(server?.ranges, ['bytes=300000-', undefined])
  })

  test('takes the whole file from a server that knows no ranges', async () => {
    await writeFile(join(folder, `${sha256}.part`), other.subarray(0, 300_000))
    const got = await get((_, response) => response.writeHead(200).end(body))
    assert.ok(got.equals(body))
  })

  test('begins again when the server sends another range than it was asked for', async () => {
    await writeFile(join(folder, `${sha256}.part`), body.subarray(0, 1000))
    const got = await get((request, response, number) => {
      if (request.headers.range === undefined) return honest(body)(request, response, number)
      const range = `bytes 500-${body.length - 1}/${body.length}`
      response.writeHead(206, { 'content-range': range }).end(body.subarray(500))
    })
    assert.ok(got.equals(body))
    assert.match(notes.join('\n'), /another range/)
  })

  test('begins again when the server has fewer bytes than came before', async () => {
    await writeFile(join(folder, `${sha256}.part`), Buffer.alloc(body.length + 1))
    assert.ok((await get(honest(body))).equals(body))
  })

  test('refuses a file with another sum, names both, and keeps nothing of it', async () => {
    const wrong = createHash('sha256').update(other).digest('hex')
    await assert.rejects(get(honest(other)), fails('E_VERIFY', new RegExp(`${wrong}.*${sha256}`)))
    assert.deepEqual(await readdir(folder), [])
  })

  test('gives up on a server that falls silent, and says so', async () => {
    await assert.rejects(
      get((_, response) => response.writeHead(200, { 'content-length': body.length }).write('x'), {
        stallTimeout: 50,
        attempts: 2,
      }),
      fails('E_DOWNLOAD', /sent nothing for 0.05 s/),
    )
    await assert.rejects(
      get(() => {}, { stallTimeout: 50, attempts: 1 }),
      fails('E_DOWNLOAD', /sent nothing for 0.05 s/),
    )
  })

  test('does not ask again after 404', async () => {
    await assert.rejects(
      get((_, response) => response.writeHead(404).end()),
      fails('E_DOWNLOAD', /file\.img\.xz answered 404 Not Found/),
    )
    assert.equal(server?.ranges.length, 1)
  })

  test('follows redirects', async () => {
    const got = await get((request, response, number) =>
      request.url === '/file.img.xz'
        ? response.writeHead(302, { location: '/elsewhere' }).end()
        : honest(body)(request, response, number),
    )
    assert.ok(got.equals(body))
  })

  const told: [string, Handler][] = [
    ['an error', (_, response) => response.writeHead(404).end()],
    ['many failures', (_, response) => response.writeHead(503).end()],
    ['another file', honest(other)],
    ['redirects', (_, response) => response.writeHead(302, { location: '/x?token=hush' }).end()],
    ['a wrong redirect', (_, response) => response.writeHead(302, { location: 'ftp://a:hush@b/' }).end()],
    ['another encoding', (_, response) => response.writeHead(200, { 'content-encoding': 'br' }).end()],
    ['too much', honest(Buffer.alloc(100))],
  ]
  for (const [title, handler] of told) {
    test(`does not tell the query of a URL when the server answers with ${title}`, async () => {
      await server?.close()
      server = await serve(handler)
      const options = { folder, sha256, backoff: 1, attempts: 2, use: async () => {} }
      const url = `${server.url}/file.img.xz?token=hush`
      const maxSize = title === 'too much' ? 10 : body.length
      await assert.rejects(
        download({
          url,
          ...options,
          maxSize,
          signal: new AbortController().signal,
          note: (line) => notes.push(line),
        }),
        (error: FleetsieError) => {
          const all = [error.message, error.hint, ...notes].join('\n')
          assert.match(all, /127\.0\.0\.1:\d+\/file\.img\.xz\?…/)
          assert.doesNotMatch(all, /hush/)
          return true
        },
      )
    })
  }

  const badRedirects: [string, string | undefined, RegExp][] = [
    ['to itself', '/file.img.xz', /more than 10 redirects/],
    ['to a file of this machine', 'file:///etc/passwd', /no http URL/],
    ['to nowhere', undefined, /no http URL/],
  ]
  for (const [title, location, message] of badRedirects) {
    test(`refuses a redirect ${title}`, async () => {
      const headers = location === undefined ? {} : { location }
      await assert.rejects(
        get((_, response) => response.writeHead(302, headers).end()),
        fails('E_DOWNLOAD', message),
      )
    })
  }

  test('refuses an encoding that it did not ask for', async () => {
    await assert.rejects(
      get((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x')),
      fails('E_DOWNLOAD', /content encoding, gzip/),
    )
  })

  test('refuses a file above the limit, whether the server says its size or not', async () => {
    await assert.rejects(get(honest(body), { maxSize: 1000 }), fails('E_DOWNLOAD', /limit of 1000/))
    await assert.rejects(
      get((_, response) => response.writeHead(200).end(body), { maxSize: 1000 }),
      fails('E_DOWNLOAD', /limit of 1000/),
    )
  })

  test('refuses a file that does not fit on the disk before it writes a byte', async () => {
    await assert.rejects(
      get((_, response) => response.writeHead(200, { 'content-length': String(2 ** 52) }).write('x'), {
        maxSize: Number.MAX_SAFE_INTEGER,
      }),
      fails('E_IO', /needs 4503599627370496 more bytes/),
    )
  })

  test('ends at once when it is interrupted, and keeps what came', async () => {
    const controller = new AbortController()
    await assert.rejects(
      get(
        (_, response) =>
          response.writeHead(200, { 'content-length': body.length }).write(body.subarray(0, 5000)),
        {
          signal: controller.signal,
          progress: () => controller.abort(),
        },
      ),
      fails('E_INTERRUPTED', /interrupted/),
    )
    assert.ok((await partialSize()) > 0)
  })

  test('is refused by --offline', async () => {
    process.env['FLEETSIE_OFFLINE'] = '1'
    try {
      await assert.rejects(get(honest(body)), fails('E_OFFLINE', /--offline/))
    } finally {
      delete process.env['FLEETSIE_OFFLINE']
    }
    assert.deepEqual(server?.ranges, [])
  })

  const badUrls: [string, string, RegExp][] = [
    ['of another scheme', 'ftp://example.org/x', /no http or https URL/],
    ['that is none', 'x', /no http or https URL/],
    ['with a password, without repeating it', 'https://me:hunter2@example.org/x', /^(?!.*hunter2).*password/],
  ]
  for (const [title, url, message] of badUrls) {
    test(`refuses a URL ${title}`, async () => {
      await assert.rejects(get(honest(body), { url }), fails('E_OPTION', message))
    })
  }

  test('refuses a redirect from https to http, and takes the other way round', () => {
    const secure = new URL('https://example.org/a/b')
    const plain = new URL('http://example.org/a/b')
    assert.throws(
      () => redirectTarget(secure, 'http://example.org/c'),
      fails('E_DOWNLOAD', /from https to http/),
    )
    assert.equal(redirectTarget(plain, secure.href).href, secure.href)
    assert.equal(redirectTarget(secure, '../c').href, 'https://example.org/c')
  })

  test('refuses a certificate that nobody vouches for, at the first attempt', async () => {
    const made = spawnSync('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-days', '1'],
      ...['-keyout', '-', '-out', '-'],
    ])
    const pem = String(made.stdout)
    const secure = createHttpsServer({ key: pem, cert: pem }, () => {})
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = secure.address() as AddressInfo
      await assert.rejects(
        get(honest(body), { url: `https://127.0.0.1:${port}/x` }),
        fails('E_DOWNLOAD', /certificate does not hold/),
      )
      assert.deepEqual(notes, [])
    } finally {
      secure.close()
    }
  })
})
