/** `--set NAME=VALUE`, `NAME=@FILE` and `NAME=@-`. */
import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { FleetsieError, inFile } from '../../errors.ts'
import { checkGiven, type Given } from './given.ts'
import { type DeviceValues, type ValueName, valueNames } from './types.ts'

/** More than a hundred ssh keys have. */
const maxBytes = 256 * 1024
const secrets: readonly ValueName[] = ['password', 'wifi-password']

export interface Sets {
  given: Given
  /** What the user should know about how values were given. */
  warnings: string[]
}

/**
 * Reads values as they were given on the command line; `@FILE` is relative to `cwd`, `@@` begins a value with an `@`.
 * Fails with E_USAGE (no such name, a name twice) or E_INPUT (a file that cannot be read, too large).
 */
export async function readSets(
  sets: readonly string[],
  { cwd, stdin }: { cwd: string; stdin: AsyncIterable<Uint8Array | string> },
): Promise<Sets> {
  const given = new Map<ValueName, Buffer[]>()
  const warnings: string[] = []
  let stdinOf: ValueName | undefined
  for (const set of sets) {
    const cut = set.indexOf('=')
    const name = valueNames.find((known) => known === set.slice(0, Math.max(cut, 0)))
    if (name === undefined) throw unknown(cut < 0 ? set : set.slice(0, cut))
    const text = set.slice(cut + 1)
    if (given.has(name) && name !== 'ssh-key') {
      throw new FleetsieError('E_USAGE', `--set ${name} is given twice`)
    }
    let value: Buffer
    if (text === '@-') {
      if (stdinOf) throw new FleetsieError('E_USAGE', `--set ${name}=@-: stdin is ${stdinOf} already`)
      stdinOf = name
      value = withoutLineEnd(await collect(stdin, 'stdin'))
    } else if (text.startsWith('@') && !text.startsWith('@@')) {
      const file = resolve(cwd, text.slice(1))
      value = withoutLineEnd(await readBounded(file))
    } else {
      value = Buffer.from(text.startsWith('@@') ? text.slice(1) : text)
      if (secrets.includes(name) && value.length > 0) {
        warnings.push(
          `--set ${name}=… on the command line can be seen by others in \`ps\` and stays in the shell's history; ` +
            `give it as ${name}=@FILE, or as ${name}=@- on stdin`,
        )
      }
    }
    given.set(name, [...(given.get(name) ?? []), value])
  }
  return { given, warnings }
}

/** The values of one device that the command line alone says. */
export function valuesOfSets({ given }: Sets): DeviceValues {
  return checkGiven(given, '--set', (name) => `--set ${name}`)
}

function unknown(name: string): FleetsieError {
  // What stands there without a name may be a secret.
  const what = /^[a-z-]{1,20}$/.test(name)
    ? `--set ${name}: there is no such value`
    : '--set takes NAME=VALUE'
  return new FleetsieError('E_USAGE', what, { hint: `values are ${valueNames.join(', ')}` })
}

function readBounded(file: string): Promise<Buffer> {
  return inFile(file, async () => {
    const handle = await open(file, 'r').catch((cause: NodeJS.ErrnoException) => {
      throw new FleetsieError('E_INPUT', `cannot be read: ${cause.code}`, { cause })
    })
    try {
      return await collect(handle.createReadStream({ autoClose: false }), 'it')
    } catch (error) {
      if (error instanceof FleetsieError) throw error
      throw new FleetsieError('E_INPUT', `cannot be read: ${(error as NodeJS.ErrnoException).code}`)
    } finally {
      await handle.close()
    }
  })
}

async function collect(source: AsyncIterable<Uint8Array | string>, what: string): Promise<Buffer> {
  const parts: Buffer[] = []
  let size = 0
  for await (const piece of source) {
    const part = Buffer.from(piece as Uint8Array)
    size += part.length
    if (size > maxBytes) throw new FleetsieError('E_INPUT', `${what} has more than ${maxBytes} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

/** Editors and `echo` end a file with a line break, which is not of the value. */
function withoutLineEnd(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== 0x0a) return bytes
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1)
}
