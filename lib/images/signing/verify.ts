/**
 * Judges a release as its receiver would: signature and chain by openssl, sums and provenance by node:crypto.
 * Nothing that a file says is believed before the signature over it holds.
 */
import type { X509Certificate } from 'node:crypto'
import { basename, dirname, join, resolve } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { sha256OfFile } from '../hash-file.ts'
import {
  type ArtifactKind,
  artifactSuffixes,
  authorityName,
  envelopeSuffix,
  signatureSuffix,
} from './artifacts.ts'
import { judge } from './openssl.ts'
import { developmentName, oneLine } from './signing-checks.ts'
import { compareSubjects, compareSums, isFile, signedSubjects } from './verify-files.ts'

export interface Check {
  name:
    | 'signature'
    | 'chain'
    | 'sums signature'
    | 'sums chain'
    | 'sums'
    | 'provenance signature'
    | 'provenance'
  ok: boolean
  /** One line: who signed, what was compared, or why it failed. */
  detail: string
}

export interface Verification {
  file: string
  checks: Check[]
  /** What the checks do not say, one line each: whose word the result rests on. */
  remarks: string[]
}

interface Options {
  run: Run
  /** A folder for what openssl finds. */
  tmp: string
  /** File with the certificates to trust. Default: `ca.crt` beside the file. */
  ca?: string
  signal?: AbortSignal
}

/**
 * Checks FILE.p7s, and for an image or sums of ours also what the sums name and the signed provenance.
 * What does not hold is among `checks`; fails with E_INPUT or E_VERIFY only if there is nothing to judge.
 */
export async function verifyArtifact(file: string, options: Options): Promise<Verification> {
  const path = resolve(file)
  const ca = resolve(options.ca ?? join(dirname(path), authorityName))
  await mustBeThere(path, ca)
  const verification: Verification = { file: path, checks: [], remarks: [] }
  const judged = new Judge(verification.checks, ca, options)

  const signer = await judged.signature(path, '')
  const stem = stemOf(path, 'image') ?? stemOf(path, 'sums')
  if (stem !== undefined) {
    const sums = stem + artifactSuffixes.sums
    const sumsSigner = path === sums ? signer : await judged.signature(sums, 'sums ')
    if (sumsSigner) await judged.step('sums', () => compareSums(sums, path, judged.digest))
    const anySigner = signer ?? sumsSigner
    if (anySigner) await judged.provenance(stem + envelopeSuffix, path, anySigner)
  }

  if (signer?.subject.includes(developmentName)) {
    verification.remarks.push('signed with a development key, which only its maker has reason to trust')
  }
  if (options.ca === undefined) {
    verification.remarks.push(
      `${authorityName} lay beside the file, so it does not tell who made both; name one that you trust with --ca`,
    )
  }
  return verification
}

/** The error for a verification that failed, naming what did; undefined if all holds. */
export function verificationError({ file, checks }: Verification): FleetsieError | undefined {
  const failed = checks.filter(({ ok }) => !ok)
  if (failed.length === 0) return undefined
  const lines = failed.map(({ name, detail }) => `${name}: ${detail}`).join('; ')
  const hint = 'do not use this file; get it anew, from whom you trust'
  return new FleetsieError('E_VERIFY', lines, { file, hint })
}

/** Takes one step after the other and writes down how each ended. */
class Judge {
  readonly #checks: Check[]
  readonly #ca: string
  readonly #options: Options
  readonly #digests = new Map<string, Promise<string>>()

  constructor(checks: Check[], ca: string, options: Options) {
    this.#checks = checks
    this.#ca = ca
    this.#options = options
  }

  /** Reads each file once however many steps ask for it. */
  readonly digest = (path: string): Promise<string> => {
    const { signal } = this.#options
    const known = this.#digests.get(path) ?? sha256OfFile(path, signal ? { signal } : {})
    this.#digests.set(path, known)
    return known
  }

  /** The signer of `content`, if the signature beside it holds and the chain leads to one whom we trust. */
  async signature(content: string, prefix: '' | 'sums '): Promise<X509Certificate | undefined> {
    const signature = content + signatureSuffix
    for (const needed of [content, signature]) {
      if (await isFile(needed)) continue
      this.#checks.push({ name: `${prefix}signature`, ok: false, detail: `${basename(needed)} is missing` })
      return undefined
    }
    const { run, tmp } = this.#options
    const result = await judge(run, { content, signature, ca: this.#ca }, tmp)
    const held = `${basename(signature)} holds`
    this.#checks.push({
      name: `${prefix}signature`,
      ok: result.signature,
      detail: result.signature ? held : result.reason,
    })
    if (!result.signature) return undefined
    if (!result.chain) {
      this.#checks.push({ name: `${prefix}chain`, ok: false, detail: result.reason })
      return undefined
    }
    const { signer } = result
    const detail = `${oneLine(signer.subject)}, by ${oneLine(signer.issuer)}`
    this.#checks.push({ name: `${prefix}chain`, ok: true, detail })
    return signer
  }

  async provenance(envelope: string, path: string, signer: X509Certificate): Promise<void> {
    const subjects = await this.step(
      'provenance signature',
      () => signedSubjects(envelope, signer.publicKey),
      () => `${basename(envelope)} is signed by the same key`,
    )
    if (!subjects) return
    await this.step('provenance', () => compareSubjects(dirname(envelope), subjects, path, this.digest))
  }

  /** A failure that a bad file causes is a result; anything else is thrown on. */
  async step<T>(
    name: Check['name'],
    work: () => Promise<T>,
    say: (result: T) => string = String,
  ): Promise<T | undefined> {
    try {
      const result = await work()
      this.#checks.push({ name, ok: true, detail: say(result) })
      return result
    } catch (error) {
      if (!(error instanceof FleetsieError) || !['E_VERIFY', 'E_DAMAGED'].includes(error.code)) throw error
      this.#checks.push({ name, ok: false, detail: error.message })
      return undefined
    }
  }
}

async function mustBeThere(path: string, ca: string): Promise<void> {
  if (!(await isFile(path))) throw new FleetsieError('E_INPUT', 'there is no such file', { file: path })
  if (!(await isFile(path + signatureSuffix))) {
    const stem = stemOf(path, 'bmap') ?? stemOf(path, 'sbom') ?? stemOf(path, 'imager')
    throw new FleetsieError(
      'E_VERIFY',
      `there is no signature ${basename(path + signatureSuffix)} beside it`,
      {
        file: path,
        hint:
          stem === undefined
            ? 'get the signature from where the file came from'
            : `the signed sums cover it: verify ${basename(stem + artifactSuffixes.sums)}`,
      },
    )
  }
  if (!(await isFile(ca))) {
    throw new FleetsieError('E_INPUT', 'there is no certificate to trust', {
      file: ca,
      hint: 'name a file with the root certificate with --ca',
    })
  }
}

function stemOf(path: string, kind: ArtifactKind): string | undefined {
  const suffix = artifactSuffixes[kind]
  return path.endsWith(suffix) ? path.slice(0, -suffix.length) : undefined
}
