/**
 * in-toto Statement v1 (in-toto/attestation, spec/v1/statement.md) with the SLSA provenance v1 predicate
 * (slsa.dev/spec/v1.0/provenance). No clock and no host path: two builds of the same inputs state the same.
 */
import * as v from 'valibot'
import { FleetsieError } from '../errors.ts'
import { compareBytes, type JsonObject, sortedJson } from './json.ts'

/** The media type under which a statement is signed. */
export const statementMediaType = 'application/vnd.in-toto+json'
const statementType = 'https://in-toto.io/Statement/v1'
const predicateType = 'https://slsa.dev/provenance/v1'

export interface Subject {
  name: string
  sha256: string
}

/** An input of the build. */
export interface Dependency {
  /** What the pipeline calls it, with no host path. */
  name: string
  sha256: string
  /** Where it came from, if that is the same everywhere. */
  uri?: string
}

export interface Provenance {
  subjects: readonly Subject[]
  /** URI that says how to read `parameters`. */
  buildType: string
  /** What the user chose: the stages and their options. */
  parameters: JsonObject
  dependencies: readonly Dependency[]
  builder: { id: string; version: Readonly<Record<string, string>> }
}

const sha256Pattern = /^[0-9a-f]{64}$/

/** Writes an unsigned statement: subjects and dependencies sorted, each digest once. */
export function formatStatement(provenance: Provenance): string {
  const { buildType, parameters, builder } = provenance
  if (provenance.subjects.length === 0) throw new FleetsieError('E_BUG', 'a statement about nothing')
  const subject = [...provenance.subjects]
    .sort((a, b) => compareBytes(a.name, b.name))
    .map(({ name, sha256 }) => ({ name, digest: digestSet(sha256) }))
  const resolvedDependencies = [...provenance.dependencies]
    .sort((a, b) => compareBytes(a.name, b.name) || compareBytes(a.sha256, b.sha256))
    .filter((one, index, all) => one.name !== all[index - 1]?.name || one.sha256 !== all[index - 1]?.sha256)
    .map(({ name, sha256, uri }) => ({ name, uri, digest: digestSet(sha256) }))
  return sortedJson({
    _type: statementType,
    subject,
    predicateType,
    predicate: {
      buildDefinition: { buildType, externalParameters: parameters, resolvedDependencies },
      runDetails: { builder },
    },
  })
}

function digestSet(sha256: string): { sha256: string } {
  if (!sha256Pattern.test(sha256)) throw new FleetsieError('E_BUG', `${JSON.stringify(sha256)} is no sha256`)
  return { sha256 }
}

const statementSchema = v.object({
  _type: v.literal(statementType),
  predicateType: v.literal(predicateType),
  subject: v.pipe(
    v.array(
      v.object({
        name: v.string(),
        digest: v.object({ sha256: v.pipe(v.string(), v.regex(sha256Pattern)) }),
      }),
    ),
    v.minLength(1),
    v.maxLength(100_000),
  ),
})

/** The subjects of a statement with SLSA provenance. Fails with E_DAMAGED, naming the member. */
export function parseSubjects(payload: Buffer): Subject[] {
  let json: unknown
  try {
    json = JSON.parse(payload.toString('utf8'))
  } catch (cause) {
    throw new FleetsieError('E_DAMAGED', 'the provenance is not JSON', { cause })
  }
  const result = v.safeParse(statementSchema, json)
  if (!result.success) {
    const place = v.getDotPath(result.issues[0]) ?? '(all)'
    throw new FleetsieError('E_DAMAGED', `the provenance is no in-toto v1 statement with SLSA v1: ${place}`)
  }
  return result.output.subject.map(({ name, digest }) => ({ name, sha256: digest.sha256 }))
}
