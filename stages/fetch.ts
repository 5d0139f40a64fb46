/** fetch: a file from the web or from this machine becomes an object of the store. */

import { stat, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import * as v from 'valibot'
import { type BuildContext, type Source, type SourceHost, stage } from '../lib/engine/stage.ts'
import { FleetsieError } from '../lib/errors.ts'
import type { Copied } from '../lib/images/copy-and-hash.ts'
import { lastPart } from '../lib/images/download/last-part.ts'

const nameLimit = 255

const options = v.pipe(
  v.strictObject({
    url: v.optional(v.pipe(v.string(), v.description('An http or https URL. Needs `sha256`.'))),
    sha256: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[0-9a-f]{64}$/, 'takes 64 hexadecimal digits in lower case'),
        v.description(
          'The sum that the file must have. Its publisher lists it, or `curl -L URL | sha256sum`.',
        ),
      ),
    ),
    file: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty('takes the path of a file'),
        v.description('A file of this machine, relative to pipeline.ts. Its sum is computed and shown.'),
      ),
    ),
    signature: v.optional(
      v.pipe(
        v.strictObject({
          file: v.pipe(
            v.string(),
            v.nonEmpty('takes the path of a file'),
            v.description('The detached OpenPGP signature (.sig, .asc), relative to pipeline.ts.'),
          ),
          keyring: v.pipe(
            v.string(),
            v.nonEmpty('takes the path of a file'),
            v.description('The public keys that may have signed it, as `gpg --export` writes them.'),
          ),
        }),
        v.description('Checks who signed the file, besides its sum.'),
      ),
    ),
    name: v.optional(
      v.pipe(
        v.string(),
        v.check(isFileName, 'takes a file name: no `/`, at most 255 bytes'),
        v.description('What the file is called in the store. Default: the last part of its URL or path.'),
      ),
    ),
  }),
  v.check(
    (given) => (given.url === undefined) !== (given.file === undefined),
    'takes either `url` or `file`',
  ),
  v.check(
    (given) => given.url === undefined || given.sha256 !== undefined,
    'a `url` needs its `sha256`: the publisher lists it, or `curl -L URL | sha256sum` tells it',
  ),
  v.check(
    (given) => given.url === undefined || /^https?:\/\//i.test(given.url),
    '`url` takes an address that begins with https:// or http://',
  ),
)

type Options = v.InferOutput<typeof options>
type FileSource = Extract<Source, { type: 'file' }>

export const fetch = stage({
  kind: 'build',
  name: 'fetch',
  module: import.meta.url,
  summary: 'Gets a file, from the web or from this machine.',
  description: `A \`url\` needs the sha256 of the file: the result is then fixed by that sum, whatever the server does. A broken
download goes on where it broke off, also in the next build: what came is kept in \`$XDG_CACHE_HOME/fleetsie-downloads\`
(\`~/.cache\` when that is not set). A server that is busy or breaks off is asked again, five times in a row at most; one that
sends another file than expected is an error, and nothing of that file is kept. A redirect from https to http is
refused, and so is a URL with a password in it. With \`--offline\` a file that is not in the store is an error.

With a \`signature\` the file must also be signed by a key of \`keyring\`; both are files that you keep beside pipeline.ts. The
program \`gpgv\` judges.

A local \`file\` needs no sum: it is computed and shown, and when the file changes, what depends on it is built again.`,
  example: `fetch({
  url: 'https://downloads.raspberrypi.com/raspios_lite_arm64/images/raspios_lite_arm64.img.xz',
  sha256: '…64 hexadecimal digits…',
})`,
  options,
  pool: 'net',

  tools: (given) => (given.signature === undefined ? [] : ['gpgv']),

  fixedOutput: (given) =>
    // With a signature the key names keyring and signature as well: changing one of them checks again.
    given.url === undefined || given.signature !== undefined
      ? undefined
      : `sha256 ${given.sha256} ${nameOf(given, given.url)}`,

  async sources(given, host) {
    const { file, signature } = given
    const sources: FileSource[] = []
    if (file !== undefined) sources.push(await localSource(given, file, host))
    if (signature !== undefined) {
      // No file's own name has a slash: one called `keyring` is told apart.
      sources.push(await sourceOf('signature/file', signature.file, host))
      sources.push(await sourceOf('signature/keyring', signature.keyring, host))
    }
    return sources
  },

  async run(context) {
    const { url, file, signature } = context.options
    const name = nameOf(context.options, url ?? file ?? '')
    const target = join(context.out, name)
    const copied =
      url === undefined ? await takeLocal(context, target) : await takeRemote(context, url, target)
    if (signature !== undefined) await checkSignature(context, target)
    context.declare(name, { sha256: copied.sha256 })
    const description = { name, sha256: copied.sha256, size: copied.size }
    await writeFile(join(context.out, 'file.json'), `${JSON.stringify(description)}\n`)
  },
})

/** The file itself, named as it will be in the store. */
async function localSource(given: Options, file: string, host: SourceHost): Promise<FileSource> {
  const source = await sourceOf(nameOf(given, file), file, host)
  if (given.sha256 !== undefined && given.sha256 !== source.sha256) {
    throw new FleetsieError(
      'E_VERIFY',
      `the file has sha256 ${source.sha256}, but ${given.sha256} was asked for`,
      {
        file,
      },
    )
  }
  if (given.sha256 === undefined) host.note(`${file} has sha256 ${source.sha256}`)
  return source
}

async function sourceOf(path: string, file: string, host: SourceHost): Promise<FileSource> {
  const from = resolve(host.cwd, file)
  const found = await stat(from).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') throw cause
    const hint = 'paths count from the folder of pipeline.ts'
    throw new FleetsieError('E_INPUT', 'there is no such file', { file, cause, hint })
  })
  if (!found.isFile()) throw new FleetsieError('E_INPUT', 'this is no regular file', { file })
  return { path, type: 'file', mode: 0o644, sha256: await host.sha256(from), from }
}

async function checkSignature(context: BuildContext<Options>, target: string): Promise<void> {
  const [signature, keyring] = context.sources.slice(-2) as [FileSource, FileSource]
  const args = ['--homedir', context.tmp, '--keyring', keyring.from, '--', signature.from, target]
  const { exitCode, stderr } = await context.run('gpgv', args, { okCodes: [0, 1, 2] })
  if (exitCode === 0) return
  throw new FleetsieError('E_VERIFY', `gpgv does not accept the signature: ${stderr.trim()}`, {
    file: signature.from,
    hint: 'the keyring must hold the public key of the signer, as `gpg --export` or `gpg --dearmor` writes it',
  })
}

async function takeLocal(context: BuildContext<Options>, target: string): Promise<Copied> {
  const [source] = context.sources
  if (source?.type !== 'file') throw new FleetsieError('E_BUG', 'fetch was given no source')
  const { size } = await stat(source.from)
  const { copyAndHash } = await import('../lib/images/copy-and-hash.ts')
  const copied = await copyAndHash(source.from, target, context.signal, (done) =>
    context.progress(done, size, 'bytes'),
  )
  if (copied.sha256 === source.sha256) return copied
  throw new FleetsieError('E_INPUT', 'the file changed while it was read', {
    file: source.from,
    hint: 'build again when nobody writes to it',
  })
}

async function takeRemote(context: BuildContext<Options>, url: string, target: string): Promise<Copied> {
  const sha256 = context.options.sha256!
  let copied: Copied | undefined
  const { copyAndHash } = await import('../lib/images/copy-and-hash.ts')
  const { download } = await import('../lib/images/download/download.ts')
  await download({
    url,
    sha256,
    signal: context.signal,
    progress: (done, total) => context.progress(done, total, 'bytes'),
    note: (line) => context.note(line),
    use: async ({ path }) => {
      // The downloads and the store may be on two filesystems.
      copied = await copyAndHash(path, target, context.signal)
    },
  })
  if (copied?.sha256 === sha256) return copied
  throw new FleetsieError(
    'E_IO',
    `the copy has sha256 ${copied?.sha256}, what was downloaded has ${sha256}`,
    {
      file: target,
      hint: 'memory or disk of this machine give back other bytes than were written',
    },
  )
}

function nameOf(given: Options, place: string): string {
  if (given.name !== undefined) return given.name
  const last = given.url === undefined ? basename(place) : lastPart(place)
  if (isFileName(last)) return last
  throw new FleetsieError('E_OPTION', `fetch: ${JSON.stringify(place)} does not end in a file name`, {
    hint: 'give a `name`',
  })
}

/** file.json is ours. */
function isFileName(name: string): boolean {
  const bytes = Buffer.byteLength(name)
  const reserved = name === '' || name === '.' || name === '..' || name === 'file.json'
  return !reserved && bytes <= nameLimit && !name.includes('/') && !name.includes('\0')
}
