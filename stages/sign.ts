/** Signs what `save` made and puts it into a folder for everyone to take. */
import { createHash } from 'node:crypto'
import { chmod, lstat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { type DeployContext, type Deployed, input, stage } from '../lib/engine/stage.ts'
import { FleetsieError } from '../lib/errors.ts'
import {
  type ArtifactFile,
  type ArtifactList,
  authorityName,
  readArtifacts,
} from '../lib/images/artifacts.ts'
import { callerOf } from '../lib/images/caller.ts'
import { sha256OfFile } from '../lib/images/hash-file.ts'
import { judge } from '../lib/images/openssl.ts'
import { makeFolder, replaceWithBytes, replaceWithCopy, sweepParts } from '../lib/images/replace-file.ts'
import { type Signed, signArtifacts } from '../lib/images/sign-artifacts.ts'
import { findSigningKey, fingerprint, type SigningKey, signingKey } from '../lib/images/signing-key.ts'

const options = v.strictObject({
  artifacts: v.pipe(input(), v.description('What `save` made.')),
  out: v.pipe(
    v.optional(v.pipe(v.string(), v.nonEmpty()), 'out'),
    v.description('The folder to fill, relative to the one of pipeline.ts, or absolute.'),
  ),
})

type Context = DeployContext<v.InferOutput<typeof options>>

const mode = 0o644

export const sign = stage({
  name: 'sign',
  kind: 'deploy',
  module: import.meta.url,
  summary: 'Signs the artifacts and puts them into `out/`.',
  description: `From what \`save\` made to a folder that can be published: image, block map, SBOM, Imager entry and sums,
detached CMS signatures of image and sums (\`.p7s\`, DER), the provenance in a DSSE envelope (\`.intoto.json\`), and
\`ca.crt\`, the root that the signatures lead to. A file that is there already with the same bytes is left alone.

The key comes from \`FLEETSIE_SIGNING_KEY\` and \`FLEETSIE_SIGNING_CERT\`: PEM text, the certificate followed by those of
its issuers up to the root. Else from \`signing.key\` and \`signing.crt\` in \`$XDG_CONFIG_HOME/fleetsie/keys\`
(\`~/.config/fleetsie/keys\`). Without any, a development key is made there once. It takes an RSA key of 3072 bits or more,
with a certificate for code signing and e-mail protection.

Signatures carry no time, so that the same key and image give the same bytes; they hold for as long as the certificate does.`,
  example: "sign({ artifacts: save({ image, table, layers, name: 'sample' }), out: 'out' })",
  options,
  tools: () => ['openssl'],
  pool: 'io',

  async identity(_options, host) {
    const found = await findSigningKey(process.env)
    const key = found ?? (await signingKey(process.env))
    if (!found) host.note(`made a development key: ${key.place}`)
    return key.chain.map(fingerprint).join(' ')
  },

  async apply(context) {
    const { artifacts } = context.options
    const key = await signingKey(process.env)
    if (key.development) {
      context.note(`signed with a development key (${key.place}): set FLEETSIE_SIGNING_KEY for a release`)
    }
    const list = await readArtifacts(artifacts.path)
    const signed = await signArtifacts(artifacts.path, list, key)
    await proveAccepted(context, list, signed, key)
    return put(context, list, signed)
  },
})

/** Stock openssl judges before anything is published: a chain may be unfit in ways that only it knows. */
async function proveAccepted(
  { run, tmp, options: { artifacts } }: Context,
  list: ArtifactList,
  signed: readonly Signed[],
  key: SigningKey,
): Promise<void> {
  const sums = list.files.find(({ kind }) => kind === 'sums')!
  const files = { signature: join(tmp, 'sums.p7s'), ca: join(tmp, authorityName) }
  await writeFile(files.signature, signed.find(({ of }) => of === sums)!.bytes)
  await writeFile(files.ca, signed.find(({ kind }) => kind === 'certificate')!.bytes)
  const judgement = await judge(run, { content: join(artifacts.path, sums.name), ...files }, tmp)
  if (judgement.signature && judgement.chain) return
  throw new FleetsieError('E_INPUT', `openssl does not accept what ${key.place} signs: ${judgement.reason}`, {
    hint: 'use a certificate for code signing and e-mail protection, with the chain that leads to its root',
  })
}

async function put(context: Context, list: ArtifactList, signed: readonly Signed[]): Promise<Deployed[]> {
  const { cwd, options, progress, signal } = context
  const caller = callerOf(process.env)
  const folder = resolve(cwd, options.out)
  await makeFolder(folder, 0o755, caller)
  await sweepParts(folder)

  const published = list.files.filter(({ kind }) => kind !== 'provenance')
  const total = published.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  const deployed: Deployed[] = []
  for (const file of published) {
    const path = join(folder, file.name)
    if (!(await isThere(path, file, signal))) {
      const check = (part: string) => checkCopy(part, file, options.artifacts.path, signal)
      await replaceWithCopy(path, join(options.artifacts.path, file.name), { mode, caller, check })
    }
    done += file.size
    progress(done, total, 'bytes')
    deployed.push({ path: join(options.out, file.name), sha256: file.sha256, kind: file.kind })
  }
  for (const { name, bytes, kind } of signed) {
    const path = join(folder, name)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    if (!(await isThere(path, { size: bytes.length, sha256 }, signal))) {
      await replaceWithBytes(path, bytes, { mode, caller })
    }
    deployed.push({ path: join(options.out, name), sha256, kind })
  }
  return deployed
}

/** True if the very file is there; then only its mode is set right. A symbolic link is not the file. */
async function isThere(
  path: string,
  file: { size: number; sha256: string },
  signal: AbortSignal,
): Promise<boolean> {
  const present = await lstat(path).catch(() => undefined)
  if (!present?.isFile() || present.size !== file.size) return false
  if ((await sha256OfFile(path, { signal })) !== file.sha256) return false
  if ((present.mode & 0o7777) !== mode) await chmod(path, mode)
  return true
}

/** A signature over a digest must not be published beside other bytes. */
async function checkCopy(
  part: string,
  file: ArtifactFile,
  store: string,
  signal: AbortSignal,
): Promise<void> {
  if ((await sha256OfFile(part, { signal })) === file.sha256) return
  throw new FleetsieError('E_STORE', 'the file is not the one that `save` made', {
    file: join(store, file.name),
    hint: 'run `fleetsie store verify`, then build again',
  })
}
