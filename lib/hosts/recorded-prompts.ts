/** What a user has answered, for a second connection to the same machine: it asks the same. */
import type { Prompts } from './ssh/types.ts'

/** `first` asks; `again` asks only what `first` was not asked, and gives the last answer otherwise. */
export function recordedPrompts(prompts: Prompts): { first: Prompts; again: Prompts } {
  const secrets = new Map<string, string>()
  const confirmed = new Set<string>()
  const first: Prompts = {
    secret: async (question) => {
      const answer = await prompts.secret(question)
      secrets.set(question, answer)
      return answer
    },
    confirm: async (question, details) => {
      const answer = await prompts.confirm(question, details)
      if (answer) confirmed.add([question, ...details].join('\n'))
      return answer
    },
  }
  const again: Prompts = {
    secret: async (question) => secrets.get(question) ?? prompts.secret(question),
    confirm: async (question, details) =>
      confirmed.has([question, ...details].join('\n')) || prompts.confirm(question, details),
  }
  return { first, again }
}
