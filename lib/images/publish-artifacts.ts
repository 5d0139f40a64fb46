/** What the stage `sign` does: signatures over what `save` made, and all of it in a folder to publish. */
import { createHash } from 'node:crypto'
import { lstat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { DeployContext, Deployed, Input } from '../engine/stage.ts'
import { FleetsieError } from '../errors.ts'
import { type ArtifactFile, type ArtifactList, authorityName, readArtifacts } from './artifacts.ts'
import { callerOf, settle } from './caller.ts'
import { sha256OfFile } from './hash-file.ts'
import { judge } from './openssl.ts'
import { makeFolder, replaceWithBytes, replaceWithCopy, sweepParts } from './replace-file.ts'
import { type Signed, signArtifacts } from './sign-artifacts.ts'
import { type SigningKey, signingKey } from './signing-key.ts'

interface Publication {
  artifacts: Input
  /** Relative to `cwd`, or absolute. */
  out: string
}

type Context = Omit<DeployContext<unknown>, 'options'> & { readonly options: Publication }

const mode = 0o644

/** Signs the artifacts and fills the folder `out`. What is there already with the same bytes is left alone. */
export async function publishArtifacts(context: Context): Promise<Deployed[]> {
  const { artifacts } = context.options
  const key = await signingKey(process.env)
  if (key.development) {
    context.note(`signed with a development key (${key.place}): set FLEETSIE_SIGNING_KEY for a release`)
  }
  const list = await readArtifacts(artifacts.path)
  const signed = await signArtifacts(artifacts.path, list, key)
  await proveAccepted(context, list, signed, key)
  return put(context, list, signed)
}

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
  if ((present.mode & 0o7777) !== mode) await settle(path, mode, undefined)
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
