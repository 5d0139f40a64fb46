/** The package database of Debian and its kin: /var/lib/dpkg/status, in deb822 (deb822(5), dpkg-query(1)). */
import { FleetsieError } from '../errors.ts'
import { compareBytes } from './json.ts'

/** A package whose files are on the image. */
export interface DpkgPackage {
  name: string
  version: string
  architecture: string
  /** The source package that it was built from. */
  source: { name: string; version: string }
  /** `Name <address>` as the package says it; empty if it does not. */
  maintainer: string
  /** As the package says it, if it does. */
  homepage?: string
}

const maxBytes = 256 * 1024 * 1024
const maxPackages = 200_000
const maxFields = 256
/** States in which no file of the package is there (dpkg(1), "Package states"). */
const absent = new Set(['not-installed', 'config-files'])
const namePattern = /^[a-z0-9][a-z0-9+.-]*$/i
const versionPattern = /^[A-Za-z0-9.+:~-]+$/

/** Reads the packages that are unpacked at least, sorted by name and architecture. Fails with E_DAMAGED, naming the line. */
export function parseDpkgStatus(status: Buffer): DpkgPackage[] {
  if (status.length > maxBytes)
    throw new FleetsieError('E_DAMAGED', `more than ${maxBytes} bytes of packages`)
  const packages: DpkgPackage[] = []
  for (const { line, fields } of paragraphs(status.toString('utf8'))) {
    const one = toPackage(fields, line)
    if (one) packages.push(one)
    if (packages.length > maxPackages) throw damaged(line, `more than ${maxPackages} packages`)
  }
  return packages.sort(
    (a, b) =>
      compareBytes(a.name, b.name) ||
      compareBytes(a.architecture, b.architecture) ||
      compareBytes(a.version, b.version),
  )
}

/** The paragraphs of a deb822 text, with the number of the line where each begins; field names in lower case. */
function* paragraphs(text: string): Generator<{ line: number; fields: Map<string, string> }> {
  let fields = new Map<string, string>()
  let start = 1
  let number = 0
  let last: string | undefined
  for (const line of lines(text)) {
    number++
    if (line.trim() === '') {
      if (fields.size > 0) yield { line: start, fields }
      fields = new Map()
      last = undefined
      start = number + 1
    } else if (line.startsWith(' ') || line.startsWith('\t')) {
      if (last === undefined) throw damaged(number, 'a continuation without a field')
      // No field that we use goes on over several lines: only their first line is kept.
    } else {
      const colon = line.indexOf(':')
      if (colon < 1) throw damaged(number, 'no field name')
      last = line.slice(0, colon).toLowerCase()
      if (fields.has(last)) throw damaged(number, `the field ${JSON.stringify(last)} again`)
      if (fields.size >= maxFields) throw damaged(number, `more than ${maxFields} fields`)
      fields.set(last, line.slice(colon + 1).trim())
    }
  }
  if (fields.size > 0) yield { line: start, fields }
}

/** Splits without a second copy of the whole text. */
function* lines(text: string): Generator<string> {
  for (let from = 0; from < text.length; ) {
    const end = text.indexOf('\n', from)
    if (end < 0) {
      yield text.slice(from)
      return
    }
    yield text.slice(from, end)
    from = end + 1
  }
}

function toPackage(fields: Map<string, string>, line: number): DpkgPackage | undefined {
  const name = fields.get('package')
  if (name === undefined || !namePattern.test(name)) throw damaged(line, 'a paragraph without a package name')
  const state = fields.get('status')?.split(/\s+/)
  if (state?.length !== 3) throw damaged(line, `${name} has no status of three words`)
  if (absent.has(state[2]!)) return undefined
  const version = fields.get('version')
  if (version === undefined || !versionPattern.test(version))
    throw damaged(line, `${name} has no valid version`)
  const architecture = fields.get('architecture') ?? 'all'
  if (!namePattern.test(architecture)) throw damaged(line, `${name} has no valid architecture`)
  const homepage = fields.get('homepage')
  return {
    name,
    version,
    architecture,
    source: toSource(fields.get('source'), name, version, line),
    maintainer: fields.get('maintainer') ?? '',
    ...(homepage ? { homepage } : {}),
  }
}

/** `Source: NAME (VERSION)`; the version only where it differs, all of it only where the name differs. */
function toSource(
  text: string | undefined,
  name: string,
  version: string,
  line: number,
): DpkgPackage['source'] {
  if (!text) return { name, version }
  const match = /^(\S+)(?:\s+\(([^()\s]+)\))?$/.exec(text)
  if (!match?.[1] || !namePattern.test(match[1])) throw damaged(line, `${name} has no valid source`)
  return { name: match[1], version: match[2] ?? version }
}

function damaged(line: number, what: string): FleetsieError {
  return new FleetsieError('E_DAMAGED', `line ${line} of the package database: ${what}`)
}
