/** What a signing key adds to a release: the signatures of image and sums, the signed provenance, and the root. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { detachedSignature } from '../../formats/cms.ts'
import { signEnvelope } from '../../formats/dsse.ts'
import { statementMediaType } from '../../formats/in-toto.ts'
import {
  type ArtifactFile,
  type ArtifactKind,
  type ArtifactList,
  authorityName,
  envelopeSuffix,
  signatureSuffix,
} from './artifacts.ts'
import type { SigningKey } from './signing-key.ts'

export interface Signed {
  name: string
  bytes: Buffer
  kind: 'signature' | 'provenance' | 'certificate'
  /** The file that is signed. */
  of?: ArtifactFile
}

/** Signs by the digests of the list: the files themselves, but for the statement, are not read. The same bytes each time. */
export async function signArtifacts(
  folder: string,
  list: ArtifactList,
  { key, chain }: SigningKey,
): Promise<Signed[]> {
  const signed: Signed[] = []
  for (const kind of ['image', 'sums'] as const) {
    const file = only(list, kind)
    const bytes = detachedSignature(Buffer.from(file.sha256, 'hex'), chain, key)
    signed.push({ name: file.name + signatureSuffix, bytes, kind: 'signature', of: file })
  }
  const statement = only(list, 'provenance')
  const envelope = signEnvelope(statementMediaType, await readFile(join(folder, statement.name)), key)
  signed.push({
    name: list.stem + envelopeSuffix,
    bytes: Buffer.from(envelope),
    kind: 'provenance',
    of: statement,
  })
  signed.push({ name: authorityName, bytes: Buffer.from(chain.at(-1)!.toString()), kind: 'certificate' })
  return signed
}

function only(list: ArtifactList, kind: ArtifactKind): ArtifactFile {
  const files = list.files.filter((file) => file.kind === kind)
  if (files.length === 1) return files[0]!
  throw new FleetsieError(
    'E_INPUT',
    `the artifacts hold ${files.length} files of kind ${kind}, where one is needed`,
    {
      hint: 'give `artifacts` the result of `save`',
    },
  )
}
