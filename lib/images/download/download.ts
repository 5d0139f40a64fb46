/** Downloads a file whose sha256 is known: resumes, retries, and hands over nothing whose sum is wrong. */

import { open, stat, statfs, truncate } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FleetsieError } from '../../errors.ts'
import { sha256OfFile } from '../hash-file.ts'
import { claimPartial, downloadFolder, type PartialFile } from './partial.ts'
import { request, shownUrl, Transient, transient } from './request.ts'

export interface DownloadOptions {
  url: string
  /** Lower-case hex. */
  sha256: string
  /** Takes the finished file, which disappears afterwards. */
  use(file: { path: string; size: number }): Promise<void>
  signal: AbortSignal
  progress?(done: number, total: number | undefined): void
  /** A line for the user: a resumed download, another attempt. */
  note?(line: string): void
  /** Where partial files are kept. Default: `downloadFolder()`. */
  folder?: string
  /** Bytes. Default: 64 GiB. */
  maxSize?: number
  /** Attempts in a row that brought no new byte. Default: 5. */
  attempts?: number
  /** Milliseconds before the second attempt, doubled each time up to a minute. Default: 1000. */
  backoff?: number
  /** Milliseconds without a byte. Default: 30,000. */
  stallTimeout?: number
}

const maxBackoff = 60_000
const defaultMaxSize = 64 * 1024 ** 3

/**
 * Fails with E_DOWNLOAD (the server refuses, or keeps breaking off; what came is kept for the next call), E_VERIFY (the
 * sum is another one; nothing is kept), E_OFFLINE (FLEETSIE_OFFLINE=1), E_IO (no space), E_INTERRUPTED.
 */
export async function download(options: DownloadOptions): Promise<void> {
  const url = checkedUrl(options.url)
  if (process.env['FLEETSIE_OFFLINE'] === '1') {
    throw new FleetsieError(
      'E_OFFLINE',
      `${shownUrl(url)} is not in the store yet, and --offline forbids to download it`,
      {
        hint: 'build once without --offline',
      },
    )
  }
  const partial = await claimPartial(options.folder ?? (await downloadFolder()), options.sha256)
  let keep = true
  try {
    await fetchVerified(url, partial, options, () => {
      keep = false
    })
    const { size } = await stat(partial.path)
    keep = false
    await options.use({ path: partial.path, size })
  } catch (error) {
    if (options.signal.aborted)
      throw new FleetsieError('E_INTERRUPTED', `the download of ${shownUrl(url)} was interrupted`)
    throw error
  } finally {
    await (keep ? partial.release() : partial.discard())
  }
}

/** http or https, and no password: options are part of keys and manifests. */
function checkedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new FleetsieError('E_OPTION', `${JSON.stringify(text)} is no http or https URL`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new FleetsieError('E_OPTION', `the URL of ${shownUrl(url)} holds a user name or a password`, {
      hint: 'what needs a password is downloaded by you; give the `file`',
    })
  }
  return url
}

/** Fetches until the sum is right. Bytes of an earlier attempt may be of another file: then once more from the start. */
async function fetchVerified(
  url: URL,
  partial: PartialFile,
  options: DownloadOptions,
  spoiled: () => void,
): Promise<void> {
  const resumed = (await stat(partial.path)).size > 0
  if (resumed) options.note?.(`resuming the download of ${shownUrl(url)}`)
  let mixed = await fetchWhole(url, partial, options, resumed)
  let sum = await sha256OfFile(partial.path, { signal: options.signal })
  if (sum !== options.sha256 && mixed) {
    options.note?.(`the parts of ${shownUrl(url)} do not fit together; downloading it from the start`)
    await truncate(partial.path, 0)
    partial.origin = undefined
    mixed = await fetchWhole(url, partial, options, false)
    sum = await sha256OfFile(partial.path, { signal: options.signal })
  }
  if (sum === options.sha256) return
  spoiled()
  throw new FleetsieError(
    'E_VERIFY',
    `${shownUrl(url)} has sha256 ${sum}, but ${options.sha256} was asked for`,
    {
      hint: 'the file behind the URL has changed, or the sum in pipeline.ts is wrong; what was downloaded has been removed',
    },
  )
}

/** Attempts until the whole file is there. Answers whether it is put together from several answers. */
async function fetchWhole(
  url: URL,
  partial: PartialFile,
  options: DownloadOptions,
  resumed: boolean,
): Promise<boolean> {
  const { attempts = 5, backoff = 1000, signal } = options
  let mixed = resumed
  let fruitless = 0
  for (;;) {
    const before = (await stat(partial.path)).size
    try {
      const { restarted } = await fetchOnce(url, before, partial, options)
      return mixed && !restarted
    } catch (error) {
      if (!(error instanceof Transient) || signal.aborted) throw error
      const after = (await stat(partial.path)).size
      fruitless = after > before ? 0 : fruitless + 1
      if (fruitless >= attempts) {
        throw new FleetsieError(
          'E_DOWNLOAD',
          `${shownUrl(url)}: ${error.message}; gave up after ${attempts} attempts`,
          {
            hint: 'what has come so far is kept: the next build goes on from there',
            cause: error,
          },
        )
      }
      mixed = after > 0
      const wait = Math.min(error.retryAfter ?? backoff * 2 ** fruitless, maxBackoff)
      options.note?.(`${shownUrl(url)}: ${error.message}; trying again`)
      await sleep(wait, undefined, { signal })
    }
  }
}

/** One request; what comes is appended. Answers whether the server began at the first byte again. */
async function fetchOnce(
  url: URL,
  offset: number,
  partial: PartialFile,
  options: DownloadOptions,
): Promise<{ restarted: boolean }> {
  const { signal, stallTimeout = 30_000 } = options
  // What another URL answered says nothing about this one's.
  const validator = partial.origin?.url === url.href ? partial.origin.validator : undefined
  const answer = await request({ url, offset, validator, signal, stallTimeout })
  const range = parseRange(answer.headers['content-range'])
  if (answer.statusCode === 416) {
    answer.destroy()
    if (offset > 0 && range?.total === offset) return { restarted: false }
    return fetchFromStart(url, offset, partial, options, 'the server has fewer bytes than came before')
  }
  if (answer.statusCode === 206 && range?.first !== offset) {
    answer.destroy()
    return fetchFromStart(url, offset, partial, options, 'the server sent another range than was asked for')
  }
  const start = answer.statusCode === 206 ? offset : 0
  if (start === 0) partial.origin = { url: url.href, validator: validatorOf(answer) }
  await receive(answer, start, partial.path, options)
  return { restarted: start === 0 }
}

function fetchFromStart(
  url: URL,
  offset: number,
  partial: PartialFile,
  options: DownloadOptions,
  reason: string,
): Promise<{ restarted: boolean }> {
  if (offset === 0) throw new FleetsieError('E_DOWNLOAD', `${shownUrl(url)}: ${reason}`)
  options.note?.(`${shownUrl(url)}: ${reason}; downloading it from the start`)
  return truncate(partial.path, 0).then(() => fetchOnce(url, 0, partial, options))
}

async function receive(
  answer: IncomingMessage,
  start: number,
  path: string,
  options: DownloadOptions,
): Promise<void> {
  const length = answer.headers['content-length']
  const total = length === undefined ? undefined : start + Number(length)
  const limit = options.maxSize ?? defaultMaxSize
  const file = await open(path, 'r+')
  try {
    if (total !== undefined) await checkRoom(path, total - start, total, limit, options.url)
    await file.truncate(start)
    let at = start
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (at + chunk.length > limit) throw tooLarge(options.url, limit)
      await writeAll(file, chunk, at)
      at += chunk.length
      options.progress?.(at, total)
    }
  } catch (error) {
    if (options.signal.aborted || isFileError(error)) throw error
    throw transient(error)
  } finally {
    answer.destroy()
    await file.close()
  }
}

async function writeAll(
  file: Awaited<ReturnType<typeof open>>,
  chunk: Buffer,
  position: number,
): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position + done)
    done += bytesWritten
  }
}

async function checkRoom(
  path: string,
  wanted: number,
  total: number,
  limit: number,
  url: string,
): Promise<void> {
  if (total > limit) throw tooLarge(url, limit)
  const { bavail, bsize } = await statfs(dirname(path))
  if (wanted <= bavail * bsize) return
  throw new FleetsieError(
    'E_IO',
    `${shownUrl(url)} needs ${wanted} more bytes, and ${bavail * bsize} are free`,
    {
      file: dirname(path),
      hint: 'free some space, for example with `fleetsie gc`',
    },
  )
}

function tooLarge(url: string, limit: number): FleetsieError {
  return new FleetsieError('E_DOWNLOAD', `${shownUrl(url)} is larger than the limit of ${limit} bytes`)
}

/** Errors of the disk come from a system call on a file, those of the network from one on a socket. */
function isFileError(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EIO' || code === 'EROFS' || syscall === 'write'
}

function parseRange(
  header: string | undefined,
): { first: number | undefined; total: number | undefined } | undefined {
  const [, first, total] = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(header ?? '') ?? []
  if (total === undefined) return undefined
  return {
    first: first === undefined ? undefined : Number(first),
    total: total === '*' ? undefined : Number(total),
  }
}

/** A weak ETag says that two files mean the same, not that they are the same bytes. */
function validatorOf(answer: IncomingMessage): string | undefined {
  const { etag } = answer.headers
  return etag?.startsWith('"') ? etag : answer.headers['last-modified']
}
