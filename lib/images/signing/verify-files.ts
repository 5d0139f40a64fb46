/** The parts of a verification that need no openssl: files against signed sums, and against signed provenance. */
import type { KeyObject } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { parseEnvelope, verifyEnvelope } from '../../formats/dsse.ts'
import { parseSubjects, type Subject, statementMediaType } from '../../formats/in-toto.ts'
import { parseSums } from '../../formats/sums.ts'

/** What was compared, in one line. */
type Finding = string
/** The sha256 of a file by its path. */
type Digest = (path: string) => Promise<string>

/** Sums and envelopes are read whole. */
const maxTextBytes = 64 * 1024 * 1024

/** Compares the files that the sums name, which lie beside them. `file` must be one of them, unless it is the sums. */
export async function compareSums(sums: string, file: string, digest: Digest): Promise<Finding> {
  const entries = parseSums(await readText(sums))
  if (file !== sums) mustName(entries, file)
  await compare(dirname(sums), entries, digest)
  return `${entries.length} files are as ${basename(sums)} says`
}

/** The subjects of a provenance that is signed by `key`. */
export async function signedSubjects(envelopeFile: string, key: KeyObject): Promise<Subject[]> {
  const envelope = parseEnvelope(await readText(envelopeFile))
  if (envelope.payloadType !== statementMediaType) {
    throw new FleetsieError('E_VERIFY', `the envelope holds ${JSON.stringify(envelope.payloadType)}`)
  }
  if (!verifyEnvelope(envelope, key)) {
    throw new FleetsieError('E_VERIFY', 'the envelope is not signed by the key that signed the files')
  }
  return parseSubjects(envelope.payload)
}

/** Compares the files that a provenance is about, `file` among them, which lie beside it. */
export async function compareSubjects(
  folder: string,
  subjects: readonly Subject[],
  file: string,
  digest: Digest,
): Promise<Finding> {
  mustName(subjects, file)
  await compare(folder, subjects, digest)
  return `${subjects.length} files are those that it names`
}

function mustName(entries: readonly Subject[], file: string): void {
  if (entries.some(({ name }) => name === basename(file))) return
  throw new FleetsieError('E_VERIFY', `${basename(file)} is not among the files named`)
}

async function compare(folder: string, files: readonly Subject[], digest: Digest): Promise<void> {
  for (const { name, sha256 } of files) {
    if (name !== basename(name) || ['', '.', '..'].includes(name)) {
      throw new FleetsieError('E_VERIFY', `${JSON.stringify(name)} is not the name of a file beside it`)
    }
    const path = join(folder, name)
    if (!(await isFile(path))) throw new FleetsieError('E_VERIFY', `${name} is missing`)
    if ((await digest(path)) !== sha256) {
      throw new FleetsieError('E_VERIFY', `${name} is another file than the one that was signed`)
    }
  }
}

async function readText(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) throw new FleetsieError('E_VERIFY', `${basename(path)} is missing`)
  if (found.size > maxTextBytes) {
    throw new FleetsieError('E_DAMAGED', `${basename(path)} has more than ${maxTextBytes} bytes`)
  }
  return readFile(path, 'utf8')
}

export function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  )
}
