/** A program that asks what its arguments say (`secret` or `confirm`) and prints the answers as JSON. */
import { terminalPrompts } from '../../lib/cli/prompts.ts'
import type { FleetsieError } from '../../lib/errors.ts'

const controller = new AbortController()
process.once('SIGINT', () => controller.abort())
const prompts = terminalPrompts(controller.signal)
const answers = await Promise.all(
  process.argv.slice(2).map((kind, at) => {
    const answer =
      kind === 'secret' ? prompts.secret(`Word ${at}? `) : prompts.confirm(`Right ${at}?`, ['Look:'])
    return answer.catch((error: FleetsieError) => error.code)
  }),
)
process.stdout.write(JSON.stringify(answers))
