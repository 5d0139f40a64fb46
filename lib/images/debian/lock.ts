/** debian.lock: exactly which packages make the Debian image. JSON, one package a line, so that a refresh reads well in a diff. */
import { readFile } from 'node:fs/promises'
import * as v from 'valibot'
import { FleetsieError, inFile } from '../../errors.ts'

const maxBytes = 4 * 1024 * 1024
const maxPackages = 5000

const name = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9+.-]{1,127}$/, 'takes the name of a package'))

const lockedPackage = v.strictObject({
  name,
  version: v.pipe(v.string(), v.regex(/^[A-Za-z0-9.+:~-]{1,255}$/)),
  architecture: v.picklist(['amd64', 'all']),
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** Bytes. */
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(2 * 1024 ** 3)),
  /** Below the mirror. No `..`: it becomes part of a URL. */
  filename: v.pipe(
    v.string(),
    v.regex(/^pool\/(?:[A-Za-z0-9][A-Za-z0-9.+~_%:-]*\/)+[A-Za-z0-9][A-Za-z0-9.+~_%:-]*\.deb$/),
  ),
})

const schema = v.strictObject({
  format: v.literal(1),
  mirror: v.pipe(
    v.string(),
    v.regex(/^https?:\/\/[A-Za-z0-9.:[\]-]+(?:\/[A-Za-z0-9._~-]+)*$/, 'takes an http or https URL'),
  ),
  suites: v.pipe(
    v.array(v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{1,63}$/))),
    v.minLength(1),
    v.maxLength(8),
  ),
  architecture: v.literal('amd64'),
  /** Seconds since 1970: when the newest of the suites was published. */
  published: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  /** What was asked for besides the essential packages; all else is there because of these. */
  requested: v.pipe(v.array(name), v.maxLength(maxPackages)),
  /** In the image. */
  packages: v.pipe(v.array(lockedPackage), v.minLength(1), v.maxLength(maxPackages)),
  /** Only for making it bootable. */
  bootloader: v.pipe(v.array(lockedPackage), v.minLength(1), v.maxLength(16)),
})

export type DebianLock = v.InferOutput<typeof schema>
export type LockedPackage = v.InferOutput<typeof lockedPackage>

export const refreshHint = '`fleetsie lock` makes debian.lock anew from what the mirror has now'

/** Reads a lock. Fails with E_INPUT, naming the field. */
export function readLock(file: string): Promise<DebianLock> {
  return inFile(file, async () => {
    const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ENOENT') throw cause
      throw new FleetsieError('E_INPUT', 'there is no such lock', { hint: refreshHint, cause })
    })
    if (text.length > maxBytes) throw new FleetsieError('E_INPUT', `a lock of more than ${maxBytes} bytes`)
    const result = v.safeParse(schema, parse(text), { abortEarly: true })
    if (result.success) return result.output
    const [issue] = result.issues
    throw new FleetsieError(
      'E_INPUT',
      `not a lock: ${v.getDotPath(issue) ?? 'all of it'}: ${issue.message}`,
      {
        hint: refreshHint,
      },
    )
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new FleetsieError('E_INPUT', `not a lock: ${(cause as Error).message}`, {
      hint: refreshHint,
      cause,
    })
  }
}

/** The text of a lock. Equal locks give equal text. */
export function formatLock(lock: DebianLock): string {
  const { packages, bootloader, ...head } = lock
  const list = (all: readonly LockedPackage[]): string =>
    all
      .map(
        ({ name, version, architecture, sha256, size, filename }) =>
          `    ${JSON.stringify({ name, version, architecture, sha256, size, filename })}`,
      )
      .join(',\n')
  const start = JSON.stringify(head, null, 2).replace(/\n\}$/, '')
  return `${start},\n  "packages": [\n${list(packages)}\n  ],\n  "bootloader": [\n${list(bootloader)}\n  ]\n}\n`
}

/** Where the packages come from: the lock's mirror, unless the machine has one that is nearer. */
export function mirrorOf(lock: Pick<DebianLock, 'mirror'>): string {
  const nearer = process.env['FLEETSIE_DEBIAN_MIRROR']
  if (nearer === undefined || nearer === '') return lock.mirror
  if (!/^https?:\/\/[^\s"[\]?#]+$/.test(nearer)) {
    throw new FleetsieError('E_USAGE', 'FLEETSIE_DEBIAN_MIRROR is no http or https URL', {
      hint: 'for example FLEETSIE_DEBIAN_MIRROR=http://deb.debian.org/debian',
    })
  }
  return nearer.replace(/\/+$/, '')
}
