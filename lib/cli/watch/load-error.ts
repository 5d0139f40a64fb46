/** What is wrong with a pipeline.ts that could not be loaded, without the stack of who loaded it. */
import { fileURLToPath } from 'node:url'
import { FleetsieError } from '../../errors.ts'

/** Mistakes of the script become E_INPUT with the place, as far as Node or tsx names it. */
export function loadError(script: string, error: unknown): FleetsieError {
  if (error instanceof FleetsieError) return error
  const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error))
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line))
  const own = frames.find((line) => !/node:|node_modules/.test(line))
  // For a syntax error Node puts the place and the line of code above the message.
  const shown = stack.startsWith('file:') ? stack.slice(0, stack.indexOf('\n    at ')) : message
  const text = plain(shown.trim() || name)
  const place = own && !(error instanceof SyntaxError) ? `\n${plain(own)}` : ''
  return new FleetsieError('E_INPUT', `it cannot be loaded: ${text}${place}`, { file: script, cause: error })
}

function plain(text: string): string {
  return text.replace(/file:\/\/[^\s:)]+/g, (url) => {
    try {
      return fileURLToPath(url)
    } catch {
      return url
    }
  })
}
