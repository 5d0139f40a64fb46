/** Text as a POSIX shell takes it. */

/** One word that a shell takes for exactly `text`, which holds no NUL. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** The same of an argument, without quotes where it needs none: for commands that people read. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : shellQuoted(text)
}
