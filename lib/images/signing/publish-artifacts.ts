/** What the stage `sign` does: signatures over what `save` made, and all of it in a folder to publish. */
import { createHash } from 'node:crypto'
import { lstat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { DeployContext, Deployed, Input } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { callerOf, settle } from '../caller.ts'
import { makeFolder, Replacements, sweepParts } from '../replace-file.ts'
import { type ArtifactFile, type ArtifactList, authorityName, readArtifacts } from './artifacts.ts'
import { judge } from './openssl.ts'
import { type Signed, signArtifacts } from './sign-artifacts.ts'
import { type SigningKey, signingKey } from './signing-key.ts'

interface Publication {
  artifacts: Input
  /** Relative to `cwd`, or absolute. */
  out: string
}

type Context = Omit<DeployContext<unknown>, 'options'> & { readonly options: Publication }

const mode = 0o644

/**
 * Signs the artifacts and fills the folder `out`. What is there already with the same bytes is left alone. The rest is
 * copied and signed at the same time, and takes its names when all of it is there and accepted.
 */
export async function publishArtifacts(context: Context): Promise<Deployed[]> {
  const { cwd, options, note } = context
  const key = await signingKey(process.env)
  if (key.development) {
    note(`signed with a development key (${key.place}): set FLEETSIE_SIGNING_KEY for a release`)
  }
  const list = await readArtifacts(options.artifacts.path)
  const caller = callerOf(process.env)
  const folder = resolve(cwd, options.out)
  await makeFolder(folder, 0o755, caller)
  await sweepParts(folder)
  const files = new Replacements({ mode, caller })
  try {
    const deployed = await settled([
      copy(context, folder, list, files),
      sign(context, folder, list, key, files),
    ])
    await files.commit()
    return deployed.flat()
  } finally {
    await files.discard()
  }
}

/** Like Promise.all, but waits for all before it fails, so that nothing is written once the parts are removed. */
async function settled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises)
  return Promise.all(promises)
}

async function copy(
  context: Context,
  folder: string,
  list: ArtifactList,
  files: Replacements,
): Promise<Deployed[]> {
  const { options, progress, signal } = context
  const published = list.files.filter(({ kind }) => kind !== 'provenance')
  const total = published.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  return settled(
    published.map(async (file) => {
      const { name, sha256, size, kind } = file
      const path = join(folder, name)
      if (!(await isThere(path, file, context))) {
        const source = join(options.artifacts.path, name)
        await files.addCopy(path, source, signal)
        await checkSource(source, file, context)
      }
      done += size
      progress(done, total, 'bytes')
      return { path: join(options.out, name), sha256, kind }
    }),
  )
}

async function sign(
  context: Context,
  folder: string,
  list: ArtifactList,
  key: SigningKey,
  files: Replacements,
): Promise<Deployed[]> {
  const { options } = context
  const signed = await signArtifacts(options.artifacts.path, list, key)
  await proveAccepted(context, list, signed, key)
  return settled(
    signed.map(async ({ name, bytes, kind }) => {
      const path = join(folder, name)
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      if (!(await isThere(path, { size: bytes.length, sha256 }, context))) await files.addBytes(path, bytes)
      return { path: join(options.out, name), sha256, kind }
    }),
  )
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

/** True if the very file is there; then only its mode is set right. A symbolic link is not the file. */
async function isThere(
  path: string,
  file: { size: number; sha256: string },
  context: Context,
): Promise<boolean> {
  const present = await lstat(path).catch(() => undefined)
  if (!present?.isFile() || present.size !== file.size) return false
  if ((await context.sha256(path)) !== file.sha256) return false
  if ((present.mode & 0o7777) !== mode) await settle(path, mode, undefined)
  return true
}

/**
 * A signature over a digest must not be published beside other bytes. Looked at when it has been copied: what is as it
 * was when its digest was taken has not changed meanwhile either.
 */
async function checkSource(source: string, file: ArtifactFile, context: Context): Promise<void> {
  if ((await context.sha256(source)) === file.sha256) return
  throw new FleetsieError('E_STORE', 'the file is not the one that `save` made', {
    file: source,
    hint: 'run `fleetsie store verify`, then build again',
  })
}
