/** The name of the file that a URL leads to. */

/** What follows the last slash of its path, decoded; '' where it ends in one, or is no URL. */
export function lastPart(url: string): string {
  const part = URL.canParse(url) ? (new URL(url).pathname.split('/').at(-1) ?? '') : ''
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
