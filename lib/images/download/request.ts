/** One GET of a byte range over http or https: redirects, the answer's status and headers, a limit for silence. */
import { get as httpGet, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { FleetsieError } from '../../errors.ts'

export interface Request {
  url: URL
  /** First byte wanted. 0: the whole file, without a Range header. */
  offset: number
  /** ETag or date of the answer that the first bytes came from: a changed file is then sent whole. */
  validator?: string | undefined
  signal: AbortSignal
  /** Milliseconds without a byte after which the connection is given up. */
  stallTimeout: number
}

const redirectLimit = 10
const redirects = new Set([301, 302, 303, 307, 308])

/** A failure that another attempt may mend: a broken connection, a busy server. */
export class Transient extends Error {
  /** What the server asked for, milliseconds. */
  readonly retryAfter: number | undefined

  constructor(message: string, retryAfter?: number) {
    super(message)
    this.retryAfter = retryAfter
  }
}

/** A URL for messages, which are printed and kept: what often holds a token or a password is left out. */
export function shownUrl(url: URL | string): string {
  const { protocol, host, pathname, search } = new URL(url)
  return `${protocol}//${host}${pathname}${search === '' ? '' : '?…'}`
}

/**
 * Sends the request and returns the answer with its body unread: status 200, 206 or 416.
 * Fails with Transient, or with E_DOWNLOAD when trying again would not help.
 */
export async function request(wanted: Request): Promise<IncomingMessage> {
  let { url } = wanted
  for (let hops = 0; hops <= redirectLimit; hops += 1) {
    const answer = await send({ ...wanted, url })
    const status = answer.statusCode ?? 0
    if (redirects.has(status)) {
      answer.destroy()
      url = redirectTarget(url, answer.headers.location)
      continue
    }
    if (status === 200 || status === 206 || status === 416) return identityOnly(answer, url)
    answer.destroy()
    if (status >= 500 || status === 408 || status === 425 || status === 429) {
      throw new Transient(`the server answered ${status}`, retryAfter(answer))
    }
    throw new FleetsieError(
      'E_DOWNLOAD',
      `${shownUrl(url)} answered ${status} ${answer.statusMessage ?? ''}`.trimEnd(),
      {
        hint: 'check the URL, for example in a browser',
      },
    )
  }
  throw new FleetsieError('E_DOWNLOAD', `${shownUrl(wanted.url)} led to more than ${redirectLimit} redirects`)
}

function send({ url, offset, validator, signal, stallTimeout }: Request): Promise<IncomingMessage> {
  const headers: Record<string, string> = { 'accept-encoding': 'identity', 'user-agent': 'fleetsie' }
  if (offset > 0) headers['range'] = `bytes=${offset}-`
  if (offset > 0 && validator !== undefined) headers['if-range'] = validator
  return new Promise((resolve, reject) => {
    // No agent: a kept connection to a server that broke off once is nothing to keep.
    const get = url.protocol === 'https:' ? httpsGet : httpGet
    let answer: IncomingMessage | undefined
    const sent = get(url, { headers, signal, agent: false, timeout: stallTimeout }, (message) => {
      answer = message
      resolve(message)
    })
    // The same timer watches the body. Once that flows, only the answer hands on why it ended.
    sent.on('timeout', () => {
      const silence = new Transient(`the server sent nothing for ${stallTimeout / 1000} s`)
      if (answer) answer.destroy(silence)
      else sent.destroy(silence)
    })
    sent.on('error', (error) => reject(signal.aborted ? signal.reason : transient(error)))
  })
}

/** Network errors pass; a certificate that does not hold will not hold in a second either. */
export function transient(error: unknown): unknown {
  if (error instanceof Transient || error instanceof FleetsieError) return error
  const { code = '', message } = error as NodeJS.ErrnoException
  if (/CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL/.test(code)) {
    return new FleetsieError('E_DOWNLOAD', `the server's certificate does not hold: ${message}`, {
      cause: error,
    })
  }
  return new Transient(message || code || String(error))
}

/** Where a redirect leads. Never from https to http, never to another scheme. */
export function redirectTarget(from: URL, location: string | undefined): URL {
  const to = location !== undefined && URL.canParse(location, from.href) ? new URL(location, from) : undefined
  if (!to || (to.protocol !== 'https:' && to.protocol !== 'http:')) {
    throw new FleetsieError(
      'E_DOWNLOAD',
      `${shownUrl(from)} redirects to ${JSON.stringify(to?.protocol ?? '')}, which is no http URL`,
    )
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw new FleetsieError('E_DOWNLOAD', `${shownUrl(from)} redirects from https to http: ${shownUrl(to)}`, {
      hint: 'give the http URL itself if that is what you want; the sha256 protects the content, not your privacy',
    })
  }
  return to
}

function identityOnly(answer: IncomingMessage, url: URL): IncomingMessage {
  const encoding = answer.headers['content-encoding']
  if (encoding === undefined || encoding === 'identity') return answer
  answer.destroy()
  throw new FleetsieError(
    'E_DOWNLOAD',
    `${shownUrl(url)} sends the file in a content encoding, ${encoding}, that was not asked for`,
  )
}

function retryAfter(answer: IncomingMessage): number | undefined {
  const seconds = Number(answer.headers['retry-after'])
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined
}
